# shellcheck shell=bash
# flaky-link: a layer of 200 MB over lines that cut, reset, fall silent, are slow, and under SIGKILL, beside docker pull and skopeo copy. [MB [TRIES]]
#
# docker-registry from Debian on loopback, behind a forwarder in the measuring process that ends connections and counts all bytes of both
# ways, metadata included. Dhow is "dhow fetch" of a published release, with its own time-outs. Every command is started TRIES (3) times, as a
# person would, and once more where it is killed; within a start each tries again as it is made to. On the line that falls silent it is ended
# after three minutes. One runs after the other, and what came is read and compared with its sha256. The layer is random; for the slow line
# it has 2 MB, a minute's worth. Goals: Dhow completes all, 1.02 with orderly cuts, 1 MB moved again for each reset.

random_image() {
	head -c "$1" /dev/urandom >"$work/random"
	tar -cf - -C "$work" random | docker import - "$registry/dhow-bench/flaky:$2" >/dev/null
	rm -f "$work/random"
	push_image "$registry/dhow-bench/flaky:$2"
}

# publish_fleet puts a release of each image into the registry: 1.0.0 and 1.1.0.
publish_fleet() {
	local fleet=$work/fleet n=0 image
	export DHOWCTL_PASSPHRASE=a-passphrase-for-the-benchmark
	build_programs "$work/bin"
	{
		"$work/bin/dhowctl" init "$fleet" --name bench
		for image in big small; do
			printf 'services:\n  app:\n    image: %s/dhow-bench/flaky:%s\n    command: [none]\n' "$registry" $image >"$work/compose.yaml"
			"$work/bin/dhowctl" -C "$fleet" release create 1.$n.0 -f "$work/compose.yaml" --project dhow-bench-flaky --no-deltas
			n=$((n + 1))
		done
		"$work/bin/dhowctl" -C "$fleet" ring add all --pin 1.0.0
		"$work/bin/dhowctl" -C "$fleet" site add bench --ring all
		"$work/bin/dhowctl" -C "$fleet" ring add next --pin 1.1.0
		"$work/bin/dhowctl" -C "$fleet" site add other --ring next
		"$work/bin/dhowctl" -C "$fleet" publish --no-deltas --to "oci://$registry/dhow-bench/fleet"
		cp "$fleet/metadata/1.root.json" "$work/"
		rm -rf "$fleet"
	} >"$work/bench.log" 2>&1 || {
		tail -20 "$work/bench.log" >&2
		fail "cannot publish the releases"
	}
}

benchmark() {
	packages skopeo=skopeo
	start_engine
	start_registry
	say "material"
	random_image "${1:-200}000000" big
	random_image 2000000 small
	publish_fleet
	go build -o "$work/flaky" ./scripts/benchmarks/flaky || fail "cannot build the benchmark"
	say "fetching"
	"$work/flaky" "${registry/localhost/127.0.0.1}" "$work" "${2:-3}"
}
