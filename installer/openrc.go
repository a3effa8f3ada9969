package installer

// openrc is the service where OpenRC starts them, below its supervise-daemon, which starts the agent again as often as it ends: by itself
// it would give up after ten times. The log is bounded as with sysv, by the shell that becomes the agent. @PROGRAM@ is the program.
const openrc = `#!/sbin/openrc-run
# Written by dhow install.
name="Dhow"
description="` + description + `"
supervisor=supervise-daemon
log=/var/log/dhow.log
command=/bin/sh
command_args="-c '[ ! -e $log ] || [ \$(wc -c <$log) -lt 1000000 ] || mv -f $log $log.1; exec \"\$@\" >>$log 2>&1' dhow @PROGRAM@ agent"
respawn_delay=3
respawn_max=0
# A stop leaves a change in good order.
retry="TERM/60/KILL/5"
` + environment + `
start_pre() {
	[ -x @PROGRAM@ ] || { eerror "There is no @PROGRAM@"; return 1; }
}

# Not "need localmount": Debian has none of that name, and the service would never start.
depend() {
	use net
	after localmount docker
}
`
