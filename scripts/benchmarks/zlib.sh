# shellcheck shell=bash
# zlib: how many deflate streams are made again bit for bit: of zlib's with all parameters, and of those in zips of Info-ZIP's. [STREAMS]
#
# 30,000 streams of random material of many kinds (package deflate, oracle_test.go) against the zlib that Python has, and 300 files in zips
# that "zip -1" to "zip -9" made. Goal: all of zlib's. Info-ZIP has a deflate of its own, whose streams of small files
# are all made again and of larger ones most; a delta carries the others as they are.

benchmark() {
	local count=${1:-30000} exact made zips
	packages python3=python3 zip=zip
	say "comparing $count streams"
	DHOW_DEFLATE_STREAMS=$count go test -count=1 -timeout 2h -v -run '^(TestStreamsAreThoseOfZlib|TestStreamsOfInfoZIP)$' ./bundle/delta/deflate \
		>"$work/streams" 2>&1 || {
		tail -20 "$work/streams" >&2
		fail "there are streams that are not what they should be"
	}
	sed -n 's/^.*_test.go:[0-9]*: \(.* streams are exact\)$/  \1/p' "$work/streams"
	exact=$(sed -n 's/^.*: zlib: \([0-9]*\) of .*/\1/p' "$work/streams")
	read -r made zips < <(sed -n 's/^.*: zip: \([0-9]*\) of \([0-9]*\) .*/\1 \2/p' "$work/streams")
	printf '\nzlib: streams=%s exact=%s zip_streams=%s zip_exact=%s\n' "$count" "$exact" "$zips" "$made"
}
