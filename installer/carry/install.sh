#!/bin/sh
# Makes this computer a site, from this stick or folder:
#
#     sudo sh ./install --site NAME
#
# It looks which program is right for this computer, sees that it came whole, and lets it do the rest: "dhow install", to which everything
# that is given here goes on (sh ./install --help lists it). "sh" because sticks are often mounted so that nothing on them can be run.
# The sums find damage, not deceit: that is what the fingerprint is for, which dhow install shows.
# Written by dhowctl bundle create --with-installer.

bundle=@BUNDLE@

stop() { # CODE MESSAGE HINT
	printf 'install: %s\nhint: %s\n' "$2" "$3" >&2
	exit "$1"
}

# What happens to everybody once is said in the languages of Dhow, as "dhow install" says it.
unprivileged() { # COMMAND
	case ${LC_ALL:-${LC_MESSAGES:-${LANG:-}}} in
	fr*) text='seul root peut faire un site de cet ordinateur' hint='conseil :' ;;
	pt*) text='só root pode fazer deste computador um local' hint='sugestão:' ;;
	es*) text='solo root puede hacer de esta computadora un sitio' hint='consejo:' ;;
	sw*) text='root tu anaweza kufanya kompyuta hii kuwa kituo' hint='dokezo:' ;;
	ht*) text='se root sèlman ki ka fè òdinatè sa a tounen yon sit' hint='konsèy:' ;;
	ar*) text='المستخدم root وحده يمكنه جعل هذا الحاسوب موقعًا' hint='تلميح:' ;;
	*) text='only root can make this computer a site' hint='hint:' ;;
	esac
	printf 'install: %s\n%s %s\n' "$text" "$hint" "$1" >&2
	exit 1
}

# All of it is read before anything is done: the stick may be taken out.
main() {
	set -eu
	here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
	programs=$here/@PROGRAMS@
	help=
	source=
	from=
	for arg in "$@"; do
		case $arg in
		-h | --help) help=yes ;;
		--source | --source=*) source=given ;;
		--from | --from=*) from=given ;;
		esac
	done

	kind="$(uname -s) $(uname -m)"
	case $kind in
	'Linux x86_64' | 'Linux amd64') platform=linux-amd64 ;;
	'Linux aarch64' | 'Linux arm64') platform=linux-arm64 ;;
	'Linux armv7'* | 'Linux armv8'*) platform=linux-armv7 ;;
	*) stop 4 "there is no dhow for this kind of computer ($kind)" 'it needs Linux on a PC (64 bits) or on ARM (version 7 or later)' ;;
	esac
	[ -r "$programs/SHA256SUMS" ] || stop 5 "$programs is not there, or can't be read" 'copy the whole stick, not this file alone'
	want=$(sed -n "s/^\([0-9a-f]\{64\}\)  dhow-$platform\$/\1/p" "$programs/SHA256SUMS")
	[ -n "$want" ] || stop 4 "this stick has no program for this computer ($kind)" 'ask the central team for a stick with one'
	[ -n "$help" ] || [ "$(id -u)" = 0 ] || unprivileged "sudo sh $0 …"

	# Where programs can be run; /tmp is often not such a place.
	tmp=
	trap 'rm -rf "$tmp"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	damaged=
	for dir in /tmp /var/tmp /run /var/lib "${HOME:-/root}"; do
		tmp=$(mktemp -d "$dir/dhow-install.XXXXXX" 2>/dev/null) || continue
		if cp "$programs/dhow-$platform" "$tmp/dhow" 2>/dev/null; then
			got=$(sha256sum <"$tmp/dhow")
			if [ "${got%% *}" != "$want" ]; then
				damaged=yes
			elif chmod 700 "$tmp/dhow" && "$tmp/dhow" version >/dev/null 2>&1; then
				break
			fi
		fi
		rm -rf "$tmp"
		tmp=
		[ -z "$damaged" ] || stop 5 "$programs/dhow-$platform is damaged" 'copy it again, or use another stick'
	done
	[ -n "$tmp" ] || stop 4 "the program can't be run from any folder of this computer" 'is there room in /tmp or /var/tmp (40 MB), and may programs be run there?'

	if [ -z "$from" ]; then
		from=$here
		for name in "$bundle" "$bundle.sums"; do
			[ -z "$bundle" ] || [ ! -e "$here/$name" ] || from=$here/$name
		done
		set -- --from "$from" "$@"
	fi
	# A site that is there keeps its sources.
	if [ -z "$source" ] && [ -r "$programs/sources" ] && [ ! -e "${DHOW_PREFIX:-}/etc/dhow/dhow.yaml" ]; then
		while IFS= read -r line; do
			set -- "$@" --source "$line"
		done <"$programs/sources"
	fi
	code=0
	"$tmp/dhow" install "$@" || code=$?
	exit $code
}

main "$@"
