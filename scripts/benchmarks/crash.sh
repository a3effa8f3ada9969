# shellcheck shell=bash
# crash: how many ways in which a power cut may leave the disk the agent recovers from. [--n STATES] [--seed SEED] [--state SUBJECT:NUMBER]

# benchmark needs root, for FUSE.
benchmark() {
	local code=0
	while [ $# -gt 0 ]; do
		case $1 in
		--n) export DHOW_CRASH_STATES=${2:?} ;;
		--seed) export DHOW_CRASH_SEED=${2:?} ;;
		--state) export DHOW_CRASH_STATE=${2:?} ;; # one state again, as a failure names it
		*) fail "crash: unknown argument $1" ;;
		esac
		shift 2
	done
	: "${DHOW_CRASH_STATES:=20000}"
	export DHOW_CRASH_STATES
	DHOW_E2E_FIGURES=$work/figures go test -tags e2e,faults -count=1 -timeout 600m -run '^TestStates$' ./agent/crash >"$work/crash.log" 2>&1 || code=$?
	[ $code = 0 ] || cat "$work/crash.log" >&2
	cat "$work/figures" || fail "crash: the states could not be tried"
	return $code
}
