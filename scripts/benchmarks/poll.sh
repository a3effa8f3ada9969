# shellcheck shell=bash
# poll: what a look for news costs a site of a fleet of 10,000: bytes on the wire, time and memory to verify; and time to publish.
#
# A real fleet, signed; nginx and docker-registry from Debian, both over TLS, on loopback; the site's own code, behind a forwarder that
# counts. Goals: nothing new 1.3 kB, a new pin of a ring 8 kB, 50 ms to verify, 5 s to publish.

benchmark() {
	# shellcheck source=/dev/null
	source scripts/benchmarks/sites/servers.sh
	prepare
	"$work/sites" poll "$work" "localhost:$web_port" "$work/web" "localhost:$registry_port"
}
