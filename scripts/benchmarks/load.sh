# shellcheck shell=bash
# load: an image of 1 GB from a bundle into the engine, whole and with only its top layer new, beside gzip -dc | docker load. [ROUNDS]
#
# The image is made of Debian's packages in five layers: a system with MariaDB, Java, office programs, jars, and an application of 78 MB that
# is a zip of jars, of another year in the second release. Dhow's time is that of a process which does only this, with the code of the agent,
# from its start to the tagged image: manifest, fetch into the store, verify every image, load. The others get what docker save has written,
# compressed with gzip, all of it each time; their time has the start of sh, gzip and docker in it.
# Whole: the engine and the store are empty. Top layer: both have release 1.0.0, which runs; the bundle is made --since 1.0.0, without deltas,
# so that it holds what 1.0.0 has not as the image carries it: the layer of the application. Each time is the median of three rounds. Goals:
# 0.8 and 0.1 of the time, 64 MB above the same program idle.

material=$cache/load
layers=(system java office libraries)
system="bash coreutils libc6 libgcc-s1 libstdc++6 libicu72 libperl5.36 perl-modules-5.36 libpython3.11-minimal libpython3.11-stdlib libssl3
python3.11-minimal mariadb-server-core mariadb-client-core"
java="openjdk-17-jre-headless openjdk-17-jdk-headless"
office="libreoffice-core libreoffice-common libllvm15 chromium-common"
libraries="libbcprov-java libguava-java libicu4j-java libjetty9-java liblucene8-java libhibernate3-java libspring-core-java libxalan2-java
libxerces2-java libcommons-collections4-java libjackson2-databind-java liblog4j2-java libhttpclient-java libmariadb-java"

# fetch_layers brings the packages into the cache.
fetch_layers() {
	local name into
	for name in "${layers[@]}"; do
		into=$material/$name
		[ ! -e "$into/done" ] || continue
		rm -rf "$into"
		mkdir -p "$into"
		# shellcheck disable=SC2086
		(cd "$into" && apt-get download -qq ${!name} >"$work/apt.log" 2>&1) || fail "cannot fetch packages: $(tail -1 "$work/apt.log")"
		touch "$into/done"
	done
}

# war zips jars with the time of a year: war.py OUT YEAR JAR…
war='
import os, sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED) as z:
    for path in sorted(sys.argv[3:]):
        info = zipfile.ZipInfo("WEB-INF/lib/" + os.path.basename(path), (int(sys.argv[2]), 3, 4, 10, 20, 30))
        info.compress_type = zipfile.ZIP_DEFLATED
        with open(path, "rb") as f:
            z.writestr(info, f.read())
'

make_images() {
	local name deb n context=$work/context
	mkdir -p "$context"
	for name in "${layers[@]}"; do
		for deb in "$material/$name"/*.deb; do dpkg-deb -x "$deb" "$work/tree"; done
		if [ "$name" = libraries ]; then
			for n in 0 1; do
				mkdir -p "$work/app/openmrs"
				find "$work/tree" -type f -name '*.jar' -size +300k -print0 | xargs -0 python3 -c "$war" "$work/app/openmrs/openmrs.war" 202$n ||
					fail "cannot make the application"
				pack_layer app "app-$n"
			done
		fi
		pack_layer tree "$name"
	done
	for n in 0 1; do
		{
			echo "FROM scratch"
			printf 'ADD %s.tar /\n' "${layers[@]}" "app-$n"
			echo 'CMD ["/bin/bash"]'
		} >"$context/Dockerfile"
		DOCKER_BUILDKIT=0 docker build -q -t "$registry/dhow-bench/load:1.$n.0" "$context" >/dev/null 2>"$work/build.log" || {
			cat "$work/build.log" >&2
			fail "cannot build the image"
		}
		docker save "$registry/dhow-bench/load:1.$n.0" | gzip >"$work/save-$n.tgz"
		docker push -q "$registry/dhow-bench/load:1.$n.0" >/dev/null || fail "cannot push the image"
	done
	image_size=$(docker image inspect -f '{{.Size}}' "$registry/dhow-bench/load:1.0.0")
	docker rmi "$registry/dhow-bench/load:1.0.0" "$registry/dhow-bench/load:1.1.0" >/dev/null
	rm -rf "$context"
}

# pack_layer FOLDER NAME
pack_layer() {
	tar --sort=name --mtime=2026-01-02 --owner=0 --group=0 -cf "$work/context/$2.tar" -C "$work/$1" .
	rm -rf "${work:?}/$1"
}

make_bundles() {
	local fleet=$work/fleet n
	export DHOWCTL_PASSPHRASE=a-passphrase-for-the-benchmark
	build_program dhowctl ./manifest/cmd/dhowctl "$work/dhowctl"
	{
		"$work/dhowctl" init "$fleet" --name bench
		for n in 0 1; do
			printf 'services:\n  app:\n    image: %s/dhow-bench/load:1.%s.0\n' "$registry" $n >"$work/compose.yaml"
			"$work/dhowctl" -C "$fleet" release create 1.$n.0 -f "$work/compose.yaml" --project dhow-bench-load --no-deltas
		done
		"$work/dhowctl" -C "$fleet" ring add all --pin 1.1.0
		"$work/dhowctl" -C "$fleet" site add bench --ring all
		"$work/dhowctl" -C "$fleet" publish --no-deltas --to "$work/web"
		"$work/dhowctl" -C "$fleet" bundle create --release 1.0.0 -o "$work/bundle-0.tgz"
		"$work/dhowctl" -C "$fleet" bundle create --release 1.1.0 --since 1.0.0 -o "$work/bundle-1.tgz"
	} >"$work/bench.log" 2>&1 || {
		tail -20 "$work/bench.log" >&2
		fail "cannot make the bundles"
	}
}

benchmark() {
	packages python3=python3 dpkg-deb=dpkg
	start_engine
	start_registry
	say "material"
	fetch_layers
	make_images
	make_bundles
	stop_registry
	cp "$work/fleet/metadata/1.root.json" "$work/"
	rm -rf "$work/registry" "$work/web" "$work/fleet"
	go build -o "$work/load" ./scripts/benchmarks/load || fail "cannot build the benchmark"
	say "loading an image of $(megabytes "$image_size") MB"
	"$work/load" run "$work" "${1:-3}"
}
