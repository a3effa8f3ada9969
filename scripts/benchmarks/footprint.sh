# shellcheck shell=bash
# footprint: what the agent costs a site that it does nothing for: resident memory, size of the program.

agent_pid=
clean_first() { [ -z "$agent_pid" ] || wait_gone "$agent_pid"; }

# footprint runs the agent of a site with the small test stack, as it is most of its life: idle.
benchmark() {
	local bin=$work/bin fleet=$work/fleet site=$work/site idle settled last name pid
	start_engine
	images_before=$(docker images --no-trunc --format '{{.Repository}}:{{.Tag}}')
	start_registry
	static_image dhow-ledger/ledger:1.0.0 ./agent/e2e/ledger/ledger 1.0.0
	static_image dhow-ledger/front:1.0 ./agent/e2e/clinic/gateway "" agent/e2e/ledger/gateway.conf
	build_programs "$bin"
	export DHOWCTL_PASSPHRASE=a-passphrase-for-the-benchmark
	printf 'REGISTRY=%s\nTAG=1.0.0\n' "$registry" >"$work/release.env"
	{
		"$bin/dhowctl" init "$fleet" --name bench
		"$bin/dhowctl" -C "$fleet" release create 1.0.0 --no-deltas -f agent/e2e/ledger/stack/compose.yaml --env-file "$work/release.env"
		"$bin/dhowctl" -C "$fleet" ring add all --pin 1.0.0
		"$bin/dhowctl" -C "$fleet" site add bench --ring all
		"$bin/dhowctl" -C "$fleet" publish --no-deltas --to "$work/web"
		"$bin/dhow" --prefix "$site" install --site bench --source "$work/web" --root "$fleet/metadata/1.root.json" \
			--yes --project dhow-bench-footprint --set LEDGER_OWNER=bench --set LEDGER_PORT=$((10000 + RANDOM % 8000))
	} >"$work/bench.log" 2>&1 || {
		cat "$work/bench.log" >&2
		fail "cannot set up the site"
	}
	"$bin/dhow" --prefix "$site" agent >"$work/agent.log" 2>&1 &
	agent_pid=$!
	for _ in $(seq 100); do
		"$bin/dhow" --prefix "$site" status >/dev/null 2>&1 && break
		sleep 0.1
	done
	"$bin/dhow" --prefix "$site" update --now >"$work/bench.log" 2>&1 || {
		cat "$work/bench.log" "$work/agent.log" >&2
		fail "cannot install the release"
	}
	printf 'agent right after an update:    %s MB resident\n' "$(resident $agent_pid)"
	wait_gone $agent_pid
	"$bin/dhow" --prefix "$site" agent >"$work/agent.log" 2>&1 &
	agent_pid=$!
	# Idle: the same number for five seconds.
	last='' settled=0
	for _ in $(seq 60); do
		idle=$(resident $agent_pid)
		if [ "$idle" = "$last" ]; then settled=$((settled + 1)); else settled=0; fi
		[ $settled -lt 5 ] || break
		last=$idle
		sleep 1
	done
	printf 'agent, idle after a start:      %s MB resident\n' "$idle"
	echo "beside it:"
	for name in dockerd containerd; do
		pid=$(pgrep -o -x $name || true)
		[ -z "$pid" ] || printf '  %-29s %s MB resident, program %s MB\n' "$name" "$(resident "$pid")" "$(megabytes "$(stat -Lc %s "/proc/$pid/exe")")"
	done
	printf '  %-29s program %s MB\n' "docker client" "$(megabytes "$(stat -Lc %s "$(command -v docker)")")"
	[ ! -x "$(compose_path)" ] || printf '  %-29s program %s MB\n' "docker compose $compose_version" "$(megabytes "$(stat -Lc %s "$(compose_path)")")"
	printf 'footprint: idle_rss_mb=%s binary_mb=%s gz_mb=%s\n' "$idle" \
		"$(megabytes "$(stat -c %s "$bin/dhow")")" "$(megabytes "$(gzip -9 <"$bin/dhow" | wc -c)")"
}
