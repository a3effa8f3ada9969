# shellcheck shell=bash
# delta: bytes that an update moves with deltas, beside registry layers, rdiff and zstd --patch-from; time and memory of making and applying.
#
# The material, kept in the cache: a backend layer as OpenMRS has it, a war and modules that are zips of jars, of which two (the HTML
# checker and the closure compiler, which npm publishes) are of another version and the others, from Debian, are not; and a front-end
# layer of modules that npm publishes, in folders that carry their versions. "gzip" is the new layer as a registry moves it. rdiff is
# the algorithm of balena's deltas, its output compressed by zstd -19. The goals: backend 60 and front-end 12 times fewer bytes than
# gzip, backend 10 times fewer than rdiff; applying within 64 MB above an idle program, making within 1.5 GB.

material=$cache/delta

# NAME OLD NEW: npm's mirrors drop versions; where one is gone, the last two take their place.
programs="vnu-jar 26.8.6 26.9.27
google-closure-compiler-java 20260830.0.0 20261015.0.0"

modules="esm-app-shell 10.0.1-pre.5462 10.0.1-pre.5501
esm-login-app 10.0.1-pre.5462 10.0.1-pre.5501
esm-home-app 11.1.1-pre.9722 11.1.1-pre.9748
esm-patient-chart-app 12.3.5-pre.12348 12.3.5-pre.12399
esm-patient-registration-app 11.1.1-pre.9722 11.1.1-pre.9748
esm-form-engine-app 12.3.5-pre.12074 12.3.5-pre.12277
esm-form-entry-app 12.3.5-pre.12277 12.3.5-pre.12348
esm-dispensing-app 1.11.2-pre.1907 1.11.2-pre.1923
esm-laboratory-app 1.5.1 1.5.2-pre.1734
esm-appointments-app 11.1.1-pre.9680 11.1.1-pre.9722
esm-form-builder-app 3.5.2-pre.3778 3.5.2-pre.3804
esm-patient-medications-app 12.3.5-pre.12277 12.3.5-pre.12348
esm-patient-orders-app 12.3.5-pre.12332 12.3.5-pre.12348
esm-patient-tests-app 12.1.1-pre.11173 12.3.4
esm-service-queues-app 11.1.1-pre.9680 11.1.1-pre.9722
esm-implementer-tools-app 10.0.1-pre.5462 10.0.1-pre.5501"

debian="libbcprov-java libguava-java libicu4j-java libjetty9-java liblucene8-java libhibernate3-java libspring-core-java libxalan2-java
libxerces2-java libcommons-collections4-java libjackson2-databind-java liblog4j2-java libhttpclient-java libmariadb-java"

# fetch_version PACKAGE VERSION FOLDER unpacks one version. It fails when npm has it no more.
fetch_version() {
	npm pack --silent --pack-destination "$work" "$1@$2" >"$work/npm.log" 2>&1 || return 1
	mkdir -p "$3"
	tar -xzf "$work"/*.tgz -C "$3"
	rm -f "$work"/*.tgz
}

# fetch_pair PACKAGE OLD NEW unpacks both versions to $material/PACKAGE/1 and 2.
fetch_pair() {
	local into=$material/${1##*/} versions
	[ ! -e "$into/done" ] || return 0
	rm -rf "${into:?}"
	if ! { fetch_version "$1" "$2" "$into/1" && fetch_version "$1" "$3" "$into/2"; }; then
		mapfile -t versions < <(npm view "$1" versions --json 2>/dev/null | tr -d '[]", ' | sed '/^$/d' | tail -2)
		say "$1: ${versions[*]}, as the pinned versions are gone"
		rm -rf "${into:?}"
		fetch_version "$1" "${versions[0]:-}" "$into/1" && fetch_version "$1" "${versions[1]:-}" "$into/2" ||
			fail "cannot fetch two versions of $1 from npm: $(tail -1 "$work/npm.log")"
	fi
	touch "$into/done"
}

# fetch brings all material into the cache.
fetch() {
	local name old new
	while read -r name old new; do
		fetch_pair "$name" "$old" "$new"
	done <<<"$programs"
	while read -r name old new; do
		fetch_pair "@openmrs/$name" "$old" "$new"
	done <<<"$modules"
	if [ ! -e "$material/debian/done" ]; then
		mkdir -p "$work/deb" "$material/debian"
		# shellcheck disable=SC2086
		(cd "$work/deb" && apt-get download -qq $debian >"$work/apt.log" 2>&1) || fail "cannot fetch Debian's jars: $(tail -1 "$work/apt.log")"
		for name in "$work"/deb/*.deb; do dpkg-deb -x "$name" "$work/deb/all"; done
		find "$work/deb/all" -type f -name '*.jar' -exec cp -t "$material/debian" {} +
		touch "$material/debian/done"
	fi
}

# zips makes a war and modules: zips.py INTO YEAR JAR… (the changed ones first).
zips='
import os, sys, zipfile
into, year, jars = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
def pack(name, folder, members):
    with zipfile.ZipFile(os.path.join(into, name), "w", zipfile.ZIP_DEFLATED) as z:
        for path in members:
            info = zipfile.ZipInfo(folder + os.path.basename(path), (year, 3, 4, 10, 20, 30))
            info.compress_type = zipfile.ZIP_DEFLATED
            with open(path, "rb") as f:
                z.writestr(info, f.read())
war, module, same = jars[0], jars[1], sorted(jars[2:])
pack("openmrs.war", "WEB-INF/lib/", [war] + same)
for i in range(4):
    pack("module-%d.omod" % i, "lib/", same[i * 7:i * 7 + 5] + ([module] if i < 2 else []))
'

make_backend() {
	local n into
	for n in 1 2; do
		into=$work/backend-$n/openmrs
		mkdir -p "$into"
		python3 -c "$zips" "$into" 202$n "$material/vnu-jar/$n/package/build/dist/vnu.jar" \
			"$material/google-closure-compiler-java/$n/package/compiler.jar" "$material"/debian/*.jar || fail "cannot make the backend"
		layer backend-$n
	done
}

make_frontend() {
	local n name old new into
	for n in 1 2; do
		while read -r name old new; do
			into=$work/frontend-$n/usr/share/nginx/html
			[ "$name" = esm-app-shell ] ||
				into=$into/openmrs-$name-$(sed -n 's/^ *"version": "\(.*\)".*/\1/p' "$material/$name/$n/package/package.json" | head -1)
			mkdir -p "$into"
			cp -r "$material/$name/$n/package/dist/." "$into/"
		done <<<"$modules"
		layer frontend-$n
	done
}

# layer makes the tar of a layer.
layer() {
	tar --sort=name --mtime="2026-0${1##*-}-02" --owner=0 --group=0 -cf "$work/$1.tar" -C "$work/$1" .
	rm -rf "${work:?}/$1"
}

# measured NAME COMMAND… runs a command and sets NAME_s and NAME_mb.
measured() {
	local name=$1
	shift
	/usr/bin/time -f '%e %M' -o "$work/time" "$@" >"$work/run.log" 2>&1 || {
		cat "$work/run.log" >&2
		fail "failed: $*"
	}
	read -r "${name}_s" "${name}_kb" <"$work/time"
	declare -g "${name}_mb=$(kilobytes "$name")"
}
kilobytes() {
	local -n kb=${1}_kb
	awk -v n="$kb" 'BEGIN {printf "%.0f", n * 1024 / 1e6}'
}

size() { stat -c %s "$1"; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.1f", a / b}'; }
row() { printf '  %-26s %9s MB   %6s %6s   %6s %6s\n' "$@"; }

# pair NAME measures all ways from one layer to the next. It sets gzip_size, rdiff_size, dhow_size and the figures of Dhow.
pair() {
	local old=$work/$1-1.tar new=$work/$1-2.tar d=$work/delta
	gzip -6 <"$new" >"$work/new.gz"
	gzip_size=$(size "$work/new.gz")
	cat "$old" "$new" >/dev/null
	printf '\n%s: %s MB, %s MB compressed\n' "$1" "$(megabytes "$(size "$new")")" "$(megabytes "$gzip_size")"
	printf '  %-26s %12s   %13s   %13s\n' '' 'moved' 'create s, MB' 'apply s, MB'
	row 'gzip layer' "$(megabytes "$gzip_size")" - - - -

	measured make zstd -q -3 --long=31 --patch-from="$old" "$new" -f -o "$d.zst"
	measured take zstd -q -d --long=31 --patch-from="$old" "$d.zst" -f -o "$work/out"
	cmp "$work/out" "$new" || fail "zstd gives another layer"
	row 'zstd -3 --patch-from' "$(awk -v n="$(size "$d.zst")" 'BEGIN {printf "%.2f", n / 1e6}')" "$make_s" "$make_mb" "$take_s" "$take_mb"

	rm -f "$work/signature" "$d.rdiff"
	rdiff signature "$old" "$work/signature"
	measured make rdiff delta "$work/signature" "$new" "$d.rdiff"
	zstd -q -19 --long=27 "$d.rdiff" -f -o "$d.rdiff.zst"
	rm -f "$work/out"
	measured take rdiff patch "$old" "$d.rdiff" "$work/out"
	cmp "$work/out" "$new" || fail "rdiff gives another layer"
	rdiff_size=$(size "$d.rdiff.zst")
	row 'rdiff, zstd -19' "$(awk -v n="$rdiff_size" 'BEGIN {printf "%.2f", n / 1e6}')" "$make_s" "$make_mb" "$take_s" "$take_mb"

	measured make "$work/bin/delta" create "$new" "$d.dhow" "$old"
	cat "$work/run.log" >"$work/stats-$1"
	measured take "$work/bin/delta" apply "$d.dhow" "$work/out" "$old"
	cmp "$work/out" "$new" || fail "the delta gives another layer"
	dhow_size=$(size "$d.dhow")
	row 'dhow' "$(awk -v n="$dhow_size" 'BEGIN {printf "%.2f", n / 1e6}')" "$make_s" "$make_mb" "$take_s" "$take_mb"
	printf '  %s\n' "$(cat "$work/stats-$1")"
}

benchmark() {
	local backend frontend versus
	packages npm=npm rdiff=rdiff zstd=zstd python3=python3 /usr/bin/time=time dpkg-deb=dpkg
	say "material"
	fetch
	make_backend
	make_frontend
	mkdir -p "$work/bin"
	go build -trimpath -o "$work/bin/delta" ./scripts/benchmarks/delta || fail "cannot build the program"
	export TMPDIR=$work
	measured idle "$work/bin/delta" idle
	pair backend
	backend=$(ratio "$gzip_size" "$dhow_size") versus=$(ratio "$rdiff_size" "$dhow_size")
	local make_most=$make_mb take_most=$take_mb
	pair frontend
	frontend=$(ratio "$gzip_size" "$dhow_size")
	[ "$make_mb" -le "$make_most" ] || make_most=$make_mb
	[ "$take_mb" -le "$take_most" ] || take_most=$take_mb
	printf '\ndelta: backend_x=%s frontend_x=%s backend_vs_rdiff_x=%s apply_mb=%s create_mb=%s\n' "$backend" "$frontend" "$versus" \
		$((take_most - idle_mb)) "$make_most"
}
