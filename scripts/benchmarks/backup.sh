# shellcheck shell=bash
# backup: first and second backup (1 % changed) and restore of 2 GB of a clinic's data, beside restic: sizes, times, memory.
#
# The data: a MariaDB data directory of about 1.2 GB with rows, made by a real server, and 0.8 GB of attachments, most of which
# cannot be compressed, as pictures. The change: one row on every hundredth page, new rows, new attachments. Both programs read
# from memory (all data is read before each run), in alternating order, into a new repository for each round. restic also encrypts,
# and does not read back what it wrote; dhow syncs and reads back both backups and restores.

server_pid=
clean_first() { [ -z "$server_pid" ] || kill "$server_pid" 2>/dev/null || true; }

sql() { mariadb --no-defaults --socket="$work/sock" openmrs; }

serve() {
	mariadbd --no-defaults --datadir="$work/data/db" --user="$(id -un)" --socket="$work/sock" --pid-file="$work/db.pid" \
		--skip-networking --innodb-buffer-pool-size=1G --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0 --innodb-log-file-size=48M \
		>"$work/server.log" 2>&1 &
	server_pid=$!
	for _ in $(seq 300); do
		mariadb-admin --no-defaults --socket="$work/sock" ping >/dev/null 2>&1 && return
		sleep 0.1
	done
	tail -5 "$work/server.log" >&2
	fail "the database server does not start"
}

halt() {
	mariadb-admin --no-defaults --socket="$work/sock" shutdown || fail "the database server does not stop"
	wait "$server_pid" || true
	server_pid=
}

# attachments FROM TO makes files of 100 to 1000 KB: three of four as pictures, one as text.
attachments() {
	local n size folder
	for n in $(seq "$1" "$2"); do
		size=$((100 + n * 7919 % 900)) folder=$work/data/files/$((n % 40))
		mkdir -p "$folder"
		if [ $((n % 4)) -gt 0 ]; then
			head -c "${size}K" /dev/urandom >"$folder/$n.jpg"
		else
			awk -v n="$n" -v size=$((size * 1024)) 'BEGIN {
				srand(n)
				for (at = 0; at < size; at += length(line) + 1) {
					line = sprintf("%d: no complaint, temperature %.1f", at, 36 + 3 * rand())
					print line
				}
			}' >"$folder/$n.txt"
		fi
	done
}

make_data() {
	mkdir -p "$work/data/db" "$work/data/files"
	mariadb-install-db --no-defaults --datadir="$work/data/db" --user="$(id -un)" --auth-root-authentication-method=normal \
		--skip-test-db >"$work/server.log" 2>&1 || fail "cannot make a data directory: $(tail -1 "$work/server.log")"
	serve
	attachments 1 1450 &
	local others=$!
	mariadb --no-defaults --socket="$work/sock" -e "create database openmrs"
	sql <<-'SQL'
		create table obs (obs_id int primary key auto_increment, person_id int, concept_id int, encounter_id int, obs_datetime datetime,
			value_numeric double, value_text varchar(200), creator int, voided tinyint, uuid char(38), key (person_id), unique key (uuid));
		create table encounter like obs;
		insert into obs select seq, 1 + (seq*7919) % 60000, 100 + (seq*31) % 3000, seq div 12, '2019-01-01' + interval seq*60 second,
			if(seq%3, round(rand(seq)*200,1), null), if(seq%3, null, concat('Patient reports ', elt(1+seq%7, 'fever', 'cough', 'headache',
			'no complaint', 'abdominal pain', 'fatigue', 'rash'), ' since ', seq%14, ' days; follow up in ', seq%5, ' weeks')), seq%25, 0,
			uuid() from seq_1_to_3500000;
		insert into encounter select * from obs where obs_id <= 1800000;
	SQL
	wait $others
	halt
}

change_data() {
	serve
	sql <<-'SQL'
		update obs set value_numeric = 99.9 where obs_id % 8000 = 17;
		update encounter set value_numeric = 99.9 where obs_id % 8000 = 17;
		insert into obs (person_id, concept_id, obs_datetime, value_text, uuid)
			select 1 + seq % 60000, 7, now(), 'new today', uuid() from seq_1_to_20000;
	SQL
	halt
	attachments 1451 1465
}

warm() { find "$1" -type f -print0 | xargs -0 cat >/dev/null; }
kilobytes() { du -sk --apparent-size "$1" | cut -f1; }

# timed NAME COMMAND … adds "NAME seconds processor-seconds peak-MB" to the figures.
timed() {
	local name=$1 line
	shift
	line=$("$work/measure" run "$@") || fail "$name failed"
	printf '%-22s %s\n' "$name" "$line" | tee -a "$work/figures"
}

# first, second and restored take "dhow" or "restic" and a round.
first() {
	warm "$work/data"
	if [ "$1" = dhow ]; then
		timed dhow-first "$work/measure" create "$work/dhow$2" one "data=$work/data"
	else
		restic -q -r "$work/restic$2" init >/dev/null
		timed restic-first restic -q -r "$work/restic$2" --cache-dir "$work/cache" backup "$work/data"
	fi
	echo "$1-first-kb $(kilobytes "$work/$1$2")" >>"$work/sizes"
}

second() {
	warm "$work/data"
	if [ "$1" = dhow ]; then
		timed dhow-second "$work/measure" create "$work/dhow$2" two "data=$work/data"
	else
		timed restic-second restic -q -r "$work/restic$2" --cache-dir "$work/cache" backup "$work/data"
	fi
	echo "$1-both-kb $(kilobytes "$work/$1$2")" >>"$work/sizes"
}

restored() {
	warm "$work/$12"
	rm -rf "$work/out"
	if [ "$1" = dhow ]; then
		timed dhow-restore "$work/measure" restore "$work/dhow2" two "data=$work/out"
		diff -r "$work/data" "$work/out" >/dev/null || fail "dhow restored something else"
	else
		timed restic-restore restic -q -r "$work/restic2" --cache-dir "$work/cache" restore latest --target "$work/out"
		timed restic-sync sync
		diff -r "$work/data" "$work/out$work/data" >/dev/null || fail "restic restored something else"
	fi
	rm -rf "$work/out"
}

benchmark() {
	packages restic=restic mariadbd=mariadb-server-core mariadb-install-db=mariadb-server mariadb=mariadb-client
	export RESTIC_PASSWORD=only-for-the-benchmark
	go build -o "$work/measure" ./agent/backup/archive/measure || fail "cannot build the program that measures"
	say "making the data"
	make_data
	printf 'data: %s MB; ' $(($(kilobytes "$work/data") / 1000))
	restic version
	say "seconds, processor seconds, peak MB"
	first dhow 1
	first restic 1
	rm -rf "$work/dhow1" "$work/restic1" "$work/cache"
	first restic 2
	first dhow 2
	change_data
	second dhow 2
	second restic 2
	timed dhow-verify "$work/measure" verify "$work/dhow2" two
	restored dhow
	restored restic
	restored restic
	restored dhow
	say "sizes in KB"
	sort -u "$work/sizes"
	# The best of each kind of run counts.
	awk '
		FNR == NR {if (!($1 in t) || $2 < t[$1]) t[$1] = $2; if ($4 > peak[$1]) peak[$1] = $4; if (!($1 in cpu) || $3 < cpu[$1]) cpu[$1] = $3; next}
		{kb[$1] = $2}
		END {
			second = kb["dhow-both-kb"] - kb["dhow-first-kb"]
			for (n in peak) if (n ~ /^dhow/ && peak[n] > most) most = peak[n]; else if (n ~ /^restic/ && peak[n] > other) other = peak[n]
			printf "second backup:  dhow adds %.1f MB in %.2f s, restic %.1f MB in %.2f s\n", second/1e3, t["dhow-second"], \
				(kb["restic-both-kb"] - kb["restic-first-kb"])/1e3, t["restic-second"]
			printf "restore:        on disk and read back by dhow in %.2f s; by restic in %.2f s, on disk (sync) after %.2f s\n", t["dhow-restore"], \
				t["restic-restore"], t["restic-restore"] + t["restic-sync"]
			printf "processor time: first backup %.2f of restic, restore %.2f of restic\n", cpu["dhow-first"]/cpu["restic-first"], \
				cpu["dhow-restore"]/cpu["restic-restore"]
			printf "peak memory:    dhow %.0f MB, restic %.0f MB\n", most, other
			printf "backup: size_vs_restic=%.2f time_vs_restic=%.2f second_vs_first=%.3f restore_vs_restic=%.2f peak_mb=%.0f\n", \
				kb["dhow-first-kb"]/kb["restic-first-kb"], t["dhow-first"]/t["restic-first"], second/kb["dhow-first-kb"], \
				t["dhow-restore"]/t["restic-restore"], most
		}' "$work/figures" "$work/sizes"
}
