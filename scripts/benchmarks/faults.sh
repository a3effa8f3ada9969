# shellcheck shell=bash
# faults: lets the agent fail at its fault points, and kills it at random moments [--n N] [--seed S] [--random-kills N] [--engine-kills N].

# benchmark tries every fault in an order that the seed decides, N of them when it is given, on a real engine; each time the site has to be
# wholly on one side, with its data, clean, and answering.
benchmark() {
	local n=all seed=1 kills=50 engine=10 only=
	while [ $# -gt 0 ]; do
		case $1 in
		--n) n=$2 ;;
		--seed) seed=$2 ;;
		--random-kills) kills=$2 ;;
		--engine-kills) engine=$2 ;;
		--only) only=$2 ;; # faults whose name matches this pattern
		*) fail "usage: scripts/bench faults [--n N] [--seed S] [--random-kills N] [--engine-kills N] [--only PATTERN]" ;;
		esac
		shift 2 || fail "$1 needs a value"
	done
	packages dockerd=docker.io containerd=containerd runc=runc iptables=iptables
	start_engine
	images_before=$(docker images --no-trunc --format '{{.Repository}}:{{.Tag}}')
	start_registry
	ledger_images
	echo "seed $seed, $n faults, $kills random kills of the agent and $engine of the engine"
	local code=0
	DHOW_E2E_REGISTRY=$registry DHOW_E2E_FIGURES=$work/figures \
		DHOW_FAULTS=$n DHOW_FAULTS_SEED=$seed DHOW_FAULTS_KILLS=$kills DHOW_FAULTS_ENGINE=$engine DHOW_FAULTS_ONLY=$only \
		go test -tags e2e,faults -count=1 -parallel 5 -timeout 48h -run '^TestFaults$' -v ./agent/e2e >"$work/faults.log" 2>&1 || code=$?
	if [ $code != 0 ]; then
		cp "$work/faults.log" "$cache/faults.log"
		grep -E '^ *--- FAIL|lost: |stuck: |left behind: ' "$work/faults.log" >&2 || tail -30 "$work/faults.log" >&2
		echo "the whole log: $cache/faults.log" >&2
	fi
	[ -e "$work/figures" ] || fail "nothing was tried"
	cat "$work/figures"
	return $code
}
