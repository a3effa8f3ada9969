# shellcheck shell=bash
# fleet: 10,000 sites ask a web server and a registry for ten minutes, through an outage of both and a publishing. [SITES [DURATION]]
#
# The sites' own code in one process: trust state, Network, schedule and repetitions; nginx and docker-registry from Debian, both over TLS,
# on loopback. Goals: no errors but in the outage, the new manifest at every site, no herd.

benchmark() {
	# shellcheck source=/dev/null
	source scripts/benchmarks/sites/servers.sh
	prepare
	"$work/sites" load "$work" "${1:-10000}" "${2:-10m}" "localhost:$web_port" "$work/web" "localhost:$registry_port"
}
