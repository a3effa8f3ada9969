# Shared by the scripts beside it: sets up what they need on a bare Debian 12 with Go, and takes away what is theirs.
# shellcheck shell=bash
#
# After "setup": an engine answers, a registry listens on $registry (loopback, for this run only), the images of the test
# stacks are in it. On exit: what this run has started is stopped, and containers, networks, volumes and images that
# the tests, the demo or the benchmarks made are removed. An engine that answered before is left alone, and so is everything
# whose name is not ours.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/dhow
work=$(mktemp -d "${TMPDIR:-/tmp}/dhow-XXXXXX")
registry=
registry_pid=
engine_pid=
systemd=
images_before=
cd "$root"
mkdir -p "$cache"

# Versions of the tools that are not in Debian.
gofumpt_version=v0.12.0
staticcheck_version=v0.8.2
nfpm_version=v2.45.0 # newer ones need modules that are not to be had everywhere
versitygw_version=v1.8.0
axe_version=4.14.1
axe_sha256=e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745

say() { printf '\n== %s\n' "$*"; }

fail() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

# packages COMMAND=PACKAGE … installs the Debian packages whose commands are missing. What has no command is named by a file of it: /PATH=PACKAGE.
packages() {
	local pair missing=()
	for pair in "$@"; do
		case $pair in
		/*) [ -e "${pair%%=*}" ] || missing+=("${pair#*=}") ;;
		*) command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}") ;;
		esac
	done
	[ ${#missing[@]} -eq 0 ] && return
	command -v apt-get >/dev/null || fail "missing: ${missing[*]}; install them, this is not a Debian machine"
	[ "$(id -u)" = 0 ] || fail "missing: ${missing[*]}; run this as root, or: sudo apt-get install ${missing[*]}"
	say "installing ${missing[*]}"
	install_packages "${missing[@]}" || {
		apt-get update -qq
		install_packages "${missing[@]}"
	} || fail "cannot install ${missing[*]} with apt-get"
	hash -r
}

install_packages() {
	# The daemons that come with the packages are ours to start, and only for the time of a run.
	local policy=/usr/sbin/policy-rc.d made=no code=0
	if [ ! -e $policy ]; then
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod +x $policy
		made=yes
	fi
	DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >"$work/apt.log" 2>&1 || code=$?
	[ $made = no ] || rm -f $policy
	[ $code = 0 ] || tail -5 "$work/apt.log" >&2
	return $code
}

# tool NAME MODULE VERSION builds a Go tool into the cache once and prints its path.
tool() {
	local dir="$cache/tools/$1-$3"
	if [ ! -x "$dir/$1" ]; then
		mkdir -p "$dir"
		GOBIN="$dir" GOFLAGS=-mod=mod go install "$2@$3" >&2 || fail "cannot install $1 $3 with go install"
	fi
	printf %s "$dir/$1"
}

# alive PID [COMMAND] tells whether the process runs (a zombie does not) and is that command. A job that has just been put into the
# background is still a shell: ask without the command then.
alive() {
	[ -r "/proc/$1/stat" ] && [ "$(cat "/proc/$1/comm")" = "${2:-$(cat "/proc/$1/comm")}" ] && ! grep -q ') Z' "/proc/$1/stat"
}

engine_answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# start_engine makes sure that a Docker Engine answers.
start_engine() {
	packages docker=docker.io
	engine_answers && return
	packages dockerd=docker.io iptables=iptables containerd=containerd runc=runc
	[ "$(id -u)" = 0 ] || fail "no Docker Engine answers, and only root can start one"
	if [ -d /run/systemd/system ]; then
		systemctl start docker || fail "no Docker Engine answers: systemctl start docker failed"
	else
		say "starting the Docker Engine"
		bury_engine
		setsid dockerd >"$cache/dockerd.log" 2>&1 &
		engine_pid=$!
	fi
	for _ in $(seq 300); do
		engine_answers && return
		[ -z "$engine_pid" ] || alive "$engine_pid" || break
		sleep 0.2
	done
	tail -5 "$cache/dockerd.log" >&2
	fail "the Docker Engine does not start; its log is $cache/dockerd.log"
}

# bury_engine removes what a killed dockerd leaves behind, so that the next one can start: its pid file and its
# containerd. It does nothing as long as any dockerd lives.
bury_engine() {
	local pid file
	for pid in $(pgrep -x dockerd || true); do
		if alive "$pid" dockerd; then
			return
		fi
	done
	for pid in $(pgrep -f '^containerd --config /var/run/docker/containerd/containerd.toml' || true); do
		kill "$pid" 2>/dev/null || true
		for _ in $(seq 50); do
			alive "$pid" containerd || break
			sleep 0.1
		done
	done
	for file in /var/run/docker.pid /var/run/docker/containerd/containerd.pid; do
		rm -f "$file"
	done
}

# start_registry starts docker-registry on a free loopback port, or again on the port that it had.
start_registry() {
	local port try
	packages docker-registry=docker-registry curl=curl
	for try in $(seq 20); do
		port=${registry##*:}
		[ -n "$port" ] || port=$((20000 + RANDOM % 10000))
		if [ -z "$registry" ] && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
			continue
		fi
		cat >"$work/registry.yml" <<-END
			version: 0.1
			log: {level: warn}
			storage:
			  filesystem: {rootdirectory: $work/registry}
			  delete: {enabled: true}
			http: {addr: "127.0.0.1:$port"}
		END
		docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
		registry_pid=$!
		for _ in $(seq 50); do
			if curl -fsS -o "$work/registry.answer" "http://127.0.0.1:$port/v2/" 2>/dev/null && alive $registry_pid docker-registry; then
				registry=localhost:$port
				return
			fi
			alive $registry_pid || break
			sleep 0.1
		done
		wait_gone $registry_pid
	done
	tail -5 "$work/registry.log" >&2
	fail "the registry does not start (tried $try ports)"
}

stop_registry() {
	[ -n "$registry_pid" ] || return 0
	wait_gone "$registry_pid"
	registry_pid=
}

# wait_gone PID ends a process of ours.
wait_gone() {
	kill "$1" 2>/dev/null || true
	wait "$1" 2>/dev/null || true
}

# build_program NAME FOLDER OUT [TAG] builds one of the two programs for $GOOS, $GOARCH, $GOARM. This is the only place that says how. Without
# inlining (-l) and without the tracing of grpc, which only the compose library brings, dhow is a tenth smaller; its work is done by the disk
# and the engine. On amd64 functions begin at 32 bytes where 16 are enough. The same source gives the same bytes, in whatever folder it lies.
# scripts/release sets $version and $built, scripts/test $also, more for the linker.
build_program() {
	local version=${version:-} built=${built:-} also=${also:-} align=
	[ "${GOARCH:-$(go env GOARCH)}" != amd64 ] || align=-funcalign=16
	[ -n "$version" ] || version=$(git -C "$root" describe --always --dirty 2>/dev/null || echo dev)
	[ -n "$built" ] || built=$(TZ=UTC git -C "$root" log -1 --date=format-local:%FT%TZ --format=%cd 2>/dev/null || true)
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags "grpcnotrace${4:+,$4}" -gcflags=all=-l \
		-ldflags "-s -w -buildid= $align -X main.version=$version -X main.built=$built $also" -o "$3" "$2" || fail "cannot build $1"
}

build_programs() {
	local out=$1
	mkdir -p "$out"
	build_program dhow ./agent/cmd/dhow "$out/dhow"
	build_program dhowctl ./manifest/cmd/dhowctl "$out/dhowctl"
}

# build_images makes the images of both test stacks, pushes them to $registry and removes them from the engine again, as a
# site has none of them.
build_images() {
	local release
	database_image agent/e2e/clinic/db dhow-clinic/db:10.11 'CMD ["mysqld"]' 'EXPOSE 3306' 'VOLUME /var/lib/mysql'
	database_image agent/e2e/hospital/db dhow-hospital/postgres:15 'CMD ["postgres"]' 'EXPOSE 5432' \
		'ENV PG_MAJOR=15' 'ENV PGDATA=/var/lib/postgresql/data' 'VOLUME /var/lib/postgresql/data'
	for release in 1.0.0 1.1.0 1.2.0 1.3.0; do
		static_image dhow-clinic/backend:$release ./agent/e2e/clinic/backend $release content
	done
	static_image dhow-clinic/gateway:1.0 ./agent/e2e/clinic/gateway "" agent/e2e/clinic/stack/gateway/gateway.conf
	ledger_images
}

# ledger_images makes those of the stack that needs nothing from Debian.
ledger_images() {
	local release
	for release in 1.0.0 1.1.0 1.2.0; do
		static_image dhow-ledger/ledger:$release ./agent/e2e/ledger/ledger $release
	done
	static_image dhow-ledger/front:1.0 ./agent/e2e/clinic/gateway "" agent/e2e/ledger/gateway.conf
}

# database_image FOLDER IMAGE CHANGE… makes the image of a database server. Its root file system is kept in the cache under the hash of
# its recipe.
database_image() {
	local from=$1 image=$registry/$2 key name change changes=()
	shift 2
	name=$(basename "$(dirname "$from")")-db
	key=$(cat "$from/recipe" "$from/entrypoint" | sha256sum | cut -c1-16)
	root_file_system "$name" "$key" "$from/recipe"
	for change in 'ENTRYPOINT ["/usr/local/bin/entrypoint"]' "$@"; do
		changes+=(--change "$change")
	done
	docker import "${changes[@]}" "$cache/$name-$key.tar" "$image" >/dev/null
	push_image "$image"
}

# systemd_image makes the image of a computer whose process 1 is systemd (see installer/systemdtest), and sets $systemd.
systemd_image() {
	local key
	key=$(sha256sum <installer/systemdtest/recipe | cut -c1-16)
	systemd=dhow.local/systemd:$key
	root_file_system systemd "$key" installer/systemdtest/recipe
	docker image inspect "$systemd" >/dev/null 2>&1 || docker import "$cache/systemd-$key.tar" "$systemd" >/dev/null
}

# root_file_system NAME KEY RECIPE runs a recipe, unless what it makes is in the cache under that key.
root_file_system() {
	[ -e "$cache/$1-$2.tar" ] && return
	packages mmdebstrap=mmdebstrap
	[ "$(id -u)" = 0 ] || fail "only root can make the root file system of a test image ($1)"
	"$3" "$work/$1.tar" >"$work/$1.log" 2>&1 || {
		tail -5 "$work/$1.log" >&2
		fail "cannot make the root file system of a test image ($1)"
	}
	rm -f "$cache/$1"-*.tar
	mv "$work/$1.tar" "$cache/$1-$2.tar"
}

# static_image NAME FOLDER RELEASE [FILE] builds a Go program and an image FROM scratch around it. FILE goes into the image's
# folder; "content" stands for a few MB that are the same in every release.
static_image() {
	local name=$1 folder=$2 release=$3 file=${4:-} image=$registry/$1 context
	context=$work/context/${name//[:\/]/_}
	mkdir -p "$context"
	cp "$folder/Dockerfile" "$context/"
	if [ "$file" = content ]; then
		mkdir -p "$context/content"
		seq 1 400000 >"$context/content/concepts.csv"
		touch -d 2020-01-01T00:00:00Z "$context/content/concepts.csv" "$context/content"
	elif [ -n "$file" ]; then
		cp "$file" "$context/"
	fi
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w${release:+ -X main.version=$release}" -o "$context/program" "$folder" ||
		fail "cannot build $folder"
	DOCKER_BUILDKIT=0 docker build -q -t "$image" "$context" >/dev/null 2>"$work/build.log" || {
		cat "$work/build.log" >&2
		fail "cannot build the image $image"
	}
	push_image "$image"
}

push_image() {
	docker push -q "$1" >/dev/null || fail "cannot push $1"
	docker rmi "$1" >/dev/null
}

# other_compose builds docker compose of another version than the one in dhow into the cache, once, and prints its path.
compose_version=v5.1.2
compose_path() { printf %s "$cache/tools/compose-$compose_version/docker-compose"; }

other_compose() {
	local out
	out=$(compose_path)
	if [ ! -x "$out" ]; then
		mkdir -p "${out%/*}" "$work/compose"
		# Not "go install": its go.mod has an exclude line.
		printf 'module tool\n\ngo 1.26\n\nrequire github.com/docker/compose/v5 %s\n' $compose_version >"$work/compose/go.mod"
		(cd "$work/compose" && CGO_ENABLED=0 GOFLAGS=-mod=mod go build -trimpath \
			-ldflags "-s -w -X github.com/docker/compose/v5/internal.Version=$compose_version" \
			-o docker-compose github.com/docker/compose/v5/cmd) >&2 || fail "cannot build docker compose $compose_version"
		mv "$work/compose/docker-compose" "$out"
	fi
	printf %s "$out"
}

# s3_server builds an S3 server into the cache, once, and prints its path. Debian has none.
s3_server() { tool versitygw github.com/versity/versitygw/cmd/versitygw $versitygw_version; }

# axe_script fetches axe-core, which looks for what keeps people from using a page, from the npm registry into the cache, once, and prints its path.
axe_script() {
	local out=$cache/tools/axe-core-$axe_version/axe.min.js
	if [ ! -e "$out" ]; then
		packages npm=npm >&2
		mkdir -p "${out%/*}" "$work/axe"
		(cd "$work/axe" && npm pack --silent "axe-core@$axe_version") >"$work/axe.log" 2>&1 || {
			tail -3 "$work/axe.log" >&2
			fail "cannot fetch axe-core $axe_version from the npm registry"
		}
		echo "$axe_sha256  $work/axe/axe-core-$axe_version.tgz" | sha256sum --check --quiet >&2 ||
			fail "axe-core $axe_version from the npm registry is not the one that was tried"
		tar -xzf "$work/axe/axe-core-$axe_version.tgz" -C "$work/axe" package/axe.min.js
		mv "$work/axe/package/axe.min.js" "$out"
	fi
	printf %s "$out"
}

# setup prepares engine, registry and images.
setup() {
	start_engine
	images_before=$(docker images --no-trunc --format '{{.Repository}}:{{.Tag}}')
	start_registry
	say "building the images of the test stacks"
	build_images
}

# ours prints the names of containers, networks and volumes (kind $1) that belong to tests, demo or benchmarks.
ours() {
	local pattern='^(dhow-drill-)?dhow-(e2e|demo|bench)-'
	case $1 in
	container)
		docker ps -a --format '{{.ID}} {{.Names}}' | awk -v p="$pattern" '$2 ~ p {print $1}'
		docker ps -a --format '{{.ID}} {{.Label "com.docker.compose.project"}}' | awk -v p="$pattern" '$2 ~ p {print $1}'
		;;
	network) docker network ls --format '{{.Name}}' | grep -E "$pattern" || true ;;
	volume) docker volume ls --format '{{.Name}}' | grep -E "$pattern" || true ;;
	image)
		docker images --no-trunc --format '{{.Repository}}:{{.Tag}}' |
			grep -E "^(localhost|127\.0\.0\.1):[0-9]+/dhow-(clinic|ledger|hospital)/|^dhow-(e2e|demo|bench)-" || true
		# Tags that sites of this run have set; a site that this computer really serves keeps its own.
		docker images --no-trunc --format '{{.Repository}}:{{.Tag}}' | grep '^dhow\.local/' | grep -vxF "$images_before" || true
		;;
	esac
}

clean_engine() {
	engine_answers || return 0
	ours container | sort -u | xargs -r docker rm -f -v >/dev/null 2>&1 || true
	ours network | xargs -r docker network rm >/dev/null 2>&1 || true
	ours volume | xargs -r docker volume rm >/dev/null 2>&1 || true
	ours image | sort -u | xargs -r docker rmi >/dev/null 2>&1 || true
}

clean() {
	local code=$?
	trap - EXIT
	trap '' INT TERM
	if declare -F clean_first >/dev/null; then
		clean_first || true
	fi
	stop_registry
	clean_engine
	if [ -n "$engine_pid" ]; then
		kill "$engine_pid" 2>/dev/null || true
		wait "$engine_pid" 2>/dev/null || true
	fi
	rm -rf "$work"
	exit $code
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
