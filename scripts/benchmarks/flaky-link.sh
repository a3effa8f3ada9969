# shellcheck shell=bash
# flaky-link: a layer of 200 MB over lines that cut, reset, fall silent, are slow, and under SIGKILL, beside docker pull and skopeo copy. [MB [TRIES]]
#
# docker-registry from Debian on loopback, behind a forwarder in the measuring process that ends connections and counts all bytes of both
# ways. Dhow fetches with its own code in a process of its own, with its own time-outs. The others' command is given three times,
# as a person would; on the line that falls silent they are ended after three minutes. The layer is random; for the slow line it has
# 2 MB, a minute's worth. Goals: Dhow completes all, 1.02 with orderly cuts, 1 MB moved again for each reset.

random_image() {
	head -c "$1" /dev/urandom >"$work/random"
	tar -cf - -C "$work" random | docker import - "$registry/dhow-bench/flaky:$2" >/dev/null
	rm -f "$work/random"
	push_image "$registry/dhow-bench/flaky:$2"
}

benchmark() {
	packages skopeo=skopeo
	start_engine
	start_registry
	say "material"
	random_image "${1:-200}000000" big
	random_image 2000000 small
	go build -o "$work/flaky" ./scripts/benchmarks/flaky || fail "cannot build the benchmark"
	say "fetching"
	"$work/flaky" run "${registry/localhost/127.0.0.1}" dhow-bench/flaky "$work" "${2:-3}"
}
