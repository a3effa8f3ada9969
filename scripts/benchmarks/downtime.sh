# shellcheck shell=bash
# downtime: seconds without an answer of the application in an update of 2 GB: docker compose alone, Dhow, and the usual guide.

# The test stack "clinic" with 1 GB of attachments and 1 GB in the database goes from 1.0.0 to 1.1.0, each time from the same data, three ways:
#
#   plain  docker compose down, docker compose up --wait, and no backup at all; the new images are already in the engine
#   dhow   dhow update
#   guide  what guides for such systems say: stop, dump the database, tar and gzip the volumes, docker load the new images, up --wait
#
# 1 % of the data changes after Dhow's first copy, while it dumps the database, in places all over the database and the
# files; in the other ways the same changes are made just before. Counted are the seconds in which GET /patients on the
# published port has no 200: the maintenance page is no answer. scripts/bench downtime [TIMES [MB]]: of plain and dhow the median of
# TIMES (3) is taken; the guide, which is slow, runs once. MB (2000) is the size of the data.

probe_pid= agent_pid=
clean_first() {
	[ -z "$probe_pid" ] || wait_gone "$probe_pid"
	[ -z "$agent_pid" ] || wait_gone "$agent_pid"
}

clinic=agent/e2e/clinic/stack
password=a-password-of-the-bench

benchmark() {
	local times=${1:-3} attachments=$((${2:-2000} / 2)) i plain=() dhow=() guide plain_s dhow_s
	forms=$((attachments * 500)) # of 2 KB
	packages jq=jq git=git curl=curl
	compose=$(other_compose)
	setup
	build_programs "$work/bin"
	export PATH="$work/bin:$PATH" DHOWCTL_PASSPHRASE=a-passphrase-for-the-benchmark
	port=$((10000 + RANDOM % 8000))
	url=http://127.0.0.1:$port
	for release in 1.0.0 1.1.0; do
		cat >"$work/$release.env" <<-END
			REGISTRY=$registry
			TAG=$release
			GATEWAY_PORT=$port
			OMRS_DB_PASSWORD=$password
			MYSQL_ROOT_PASSWORD=$password
			CLINIC_ROWS=2000
			CLINIC_MB=1
		END
		compose_at $release dhow-bench-seed pull -q >"$work/bench.log" 2>&1 || broken "cannot pull release $release"
	done
	seed
	bundle
	centre
	for ((i = 1; i <= times; i++)); do
		measure plain "$i"
		plain+=("$seconds")
		measure dhow "$i"
		dhow+=("$seconds")
	done
	measure guide 1
	guide=$seconds
	plain_s=$(median "${plain[@]}") dhow_s=$(median "${dhow[@]}")
	echo "Dhow's steps:"
	sed -n 's/.* steps="\(.*\)"/  \1/p' "$work/steps"
	printf 'plain: %s s   dhow: %s s   guide: %s s\n' "$plain_s" "$dhow_s" "$guide"
	awk -v a="$plain_s" -v b="$dhow_s" -v c="$guide" 'BEGIN {printf "downtime: dhow_vs_plain=%.2f guide_vs_dhow=%.2f\n", b / a, c / b}'
}

broken() {
	tail -n 20 "$work/bench.log" "$work"/agent-*.log >&2 2>/dev/null || true
	fail "$1"
}

compose_at() { "$compose" --env-file "$work/$1.env" -f $clinic/compose.yaml -p "$2" "${@:3}"; }

folder() { docker volume inspect -f '{{.Mountpoint}}' "$1"; }

median() { printf '%s\n' "$@" | sort -n | awk '{v[NR] = $1} END {print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }

sql() { docker exec -i "$1-db-1" mariadb -uroot "-p$password" openmrs; }

# words N prints an SQL expression for 1 KB of text that compresses as notes do.
words() { printf 'concat_ws(" "'; for _ in 1 2 3 4 5 6 7 8; do printf ', sha2(rand(%s + seq), 512)' "$RANDOM"; done; printf ')'; }

# seed makes the data once, with release 1.0.0.
seed() {
	local files i
	say "making $((2 * attachments)) MB of data"
	compose_at 1.0.0 dhow-bench-seed up -d --wait >"$work/bench.log" 2>&1 || broken "cannot start the stack"
	{
		echo "create table form (form_id int primary key auto_increment, patient_id int not null, body mediumtext not null, key (patient_id));"
		echo "insert into form (patient_id, body) select seq % 2000, concat($(words), ' ', $(words)) from seq_1_to_$((forms / 32));"
		for i in 1 2 3 4 5; do
			echo "insert into form (patient_id, body) select patient_id, concat(md5(rand($i + form_id)), substr(body, 33)) from form;"
		done
	} | sql dhow-bench-seed >"$work/bench.log" 2>&1 || broken "cannot fill the database"
	files=$(folder dhow-bench-seed_clinic-data)
	for i in 0 1 2 3 4 5 6 7; do
		mkdir -p "$files/pictures/$i"
		head -c "$((attachments / 8))M" /dev/urandom | split -d -a 4 -b 256K --additional-suffix=.jpg - "$files/pictures/$i/scan-"
	done
	compose_at 1.0.0 dhow-bench-seed down >"$work/bench.log" 2>&1 || broken "cannot stop the stack"
	du -sm "$(folder dhow-bench-seed_db-data)" "$(folder dhow-bench-seed_clinic-data)" | awk '{n += $1} END {print n " MB in the volumes"}'
}

# change touches 1 % of the data of a running stack: single rows all over the table, and every hundredth attachment.
change() {
	local file
	echo "update form set body = concat(reverse(left(body, 1000)), ' ', body) where form_id % 780 = 7;" | sql "$1"
	while read -r file; do
		dd if=/dev/urandom of="$file" bs=256K count=1 conv=notrunc status=none
	done < <(find "$(folder "$1_clinic-data")" -name 'scan-*' | sort | awk 'NR % 100 == 0')
}

# fresh gives a project the data again.
fresh() {
	local v
	for v in db-data clinic-data; do
		docker volume create --label com.docker.compose.project="$1" --label com.docker.compose.volume=$v "$1_$v" >/dev/null
		cp -a "$(folder dhow-bench-seed_$v)/." "$(folder "$1_$v")/"
	done
	sync -f "$(folder "$1_db-data")"
}

bundle() {
	# shellcheck disable=SC2046
	docker save $(compose_at 1.1.0 dhow-bench-seed config --images) | gzip -1 >"$work/images.tgz"
}

centre() {
	local release fleet=$work/fleet
	{
		dhowctl init "$fleet" --name bench
		for release in 1.0.0 1.1.0; do
			printf 'REGISTRY=%s\nTAG=%s\n' "$registry" $release >"$work/release-$release.env"
			dhowctl -C "$fleet" release create $release --no-deltas -f $clinic/compose.yaml -f $clinic/checks.yaml --env-file "$work/release-$release.env"
		done
		for ((i = 1; i <= times; i++)); do
			dhowctl -C "$fleet" ring add "ring-$i" --pin 1.0.0
			dhowctl -C "$fleet" site add "bench-$i" --ring "ring-$i"
		done
		dhowctl -C "$fleet" publish --no-deltas --to "$work/web"
	} >"$work/bench.log" 2>&1 || broken "cannot set up the fleet"
}

# watch writes a line for every try to use the application: the time and the status.
watch() {
	local status
	while :; do
		status=$(curl -s -m 2 -o /dev/null -w '%{http_code}' "$url/patients?name=Amina" 2>/dev/null) || status=000
		printf '%s %s\n' "$EPOCHREALTIME" "$status"
		sleep 0.04
	done
}

# without sums up the seconds between the last answer before a gap and the first one after it.
without() { awk '$2 == 200 {if (bad) sum += $1 - last; last = $1; bad = 0; next} {bad = 1} END {if (bad) exit 1; printf "%.2f", sum}' "$1"; }

# measure WAY N sets seconds.
measure() {
	local way=$1 log=$work/watch-$1-$2 project=dhow-bench-$1-$2
	say "$way, $2"
	fresh "$project"
	"before_$way" "$project" "$2" >"$work/bench.log" 2>&1 || broken "cannot start release 1.0.0"
	for _ in $(seq 100); do
		[ "$(curl -s -m 2 -o /dev/null -w '%{http_code}' "$url/patients?name=Amina" || true)" != 200 ] || break
		sleep 0.1
	done
	watch >"$log" &
	probe_pid=$!
	"update_$way" "$project" "$2" >"$work/bench.log" 2>&1 || broken "the update failed"
	for _ in $(seq 200); do
		tail -n 3 "$log" | grep -q -v ' 200$' || break
		sleep 0.1
	done
	wait_gone $probe_pid
	probe_pid=
	[ "$(curl -s "$url/release")" = 1.1.0 ] || broken "release 1.1.0 does not run"
	seconds=$(without "$log") || broken "the application does not answer"
	echo "$seconds s without an answer"
	"after_$way" "$project" "$2" >"$work/bench.log" 2>&1 || broken "cannot clean up"
	docker volume rm "${project}_db-data" "${project}_clinic-data" >/dev/null
}

before_plain() { compose_at 1.0.0 "$1" up -d --wait; }
update_plain() {
	change "$1"
	compose_at 1.1.0 "$1" down
	compose_at 1.1.0 "$1" up -d --wait
}
after_plain() { compose_at 1.1.0 "$1" down; }

before_guide() { before_plain "$@"; }
update_guide() {
	local v
	change "$1"
	compose_at 1.0.0 "$1" stop gateway backend
	docker exec "$1-db-1" mariadb-dump -uroot "-p$password" --single-transaction --routines --databases openmrs | gzip >"$work/dump.sql.gz"
	compose_at 1.0.0 "$1" down
	for v in db-data clinic-data; do
		tar -C "$(folder "$1_$v")" -czf "$work/$v.tgz" .
	done
	gunzip <"$work/images.tgz" | docker load
	compose_at 1.1.0 "$1" up -d --wait
}
after_guide() {
	after_plain "$@"
	rm -f "$work"/*-data.tgz "$work/dump.sql.gz"
}

before_dhow() {
	local site=$work/site-$2
	dhow --prefix "$site" install --site "bench-$2" --source "$work/web" --root "$work/fleet/metadata/1.root.json" --yes \
		--project "$1" --settings "$work/1.0.0.env" --backup never
	dhow --prefix "$site" agent >"$work/agent-$2.log" 2>&1 &
	agent_pid=$!
	for _ in $(seq 100); do
		dhow --prefix "$site" status >/dev/null 2>&1 && break
		sleep 0.1
	done
	dhow --prefix "$site" update --now
	dhowctl -C "$work/fleet" pin 1.1.0 --ring "ring-$2"
	dhowctl -C "$work/fleet" publish --no-deltas --to "$work/web"
}

# The first copy is complete when every volume has an index: the dump, which comes then, leaves the users time to change something.
update_dhow() {
	local site=$work/site-$2 update
	dhow --prefix "$site" update --now &
	update=$!
	until [ "$(find "$site" -path '*/index/*.jsonl' 2>/dev/null | wc -l)" -ge 2 ]; do
		kill -0 $update || return 1
		sleep 0.05
	done
	change "$1"
	[ "$(dhow --prefix "$site" status --json | jq -r .step)" = copy-ahead ] || return 1 # the doors were closed before all was changed
	wait $update
}

after_dhow() {
	grep 'msg="change ended"' "$work/agent-$2.log" | tail -n 1 >>"$work/steps"
	wait_gone "$agent_pid"
	agent_pid=
	compose_at 1.1.0 "$1" down
	rm -rf "$work/site-$2"
}
