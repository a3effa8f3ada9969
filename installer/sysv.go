package installer

// sysv is the service where init runs scripts. Such an init starts a program once and never looks at it again, so a loop in the script starts
// the agent again; its process group is what "stop" ends. Nobody looks after the log either: the agent keeps its own, within bounds, and what it says when it
// can't start or crashes is in /var/log/dhow.log and dhow.log.1, of about a megabyte each. @PROGRAM@ is the program.
const sysv = `#!/bin/sh
# Written by dhow install.
### BEGIN INIT INFO
# Provides:          dhow
# Required-Start:    $local_fs $remote_fs
# Required-Stop:     $local_fs $remote_fs
# Should-Start:      $network docker
# Should-Stop:       $network docker
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: Dhow
# Description:       ` + description + `
### END INIT INFO

pid_file=/run/dhow-service.pid
log=/var/log/dhow.log
` + environment + `
running() { [ -s $pid_file ] && kill -0 "$(cat $pid_file)" 2>/dev/null; }

case "$1" in
start)
	if running; then
		echo "Running"
		exit 0
	fi
	if [ ! -x @PROGRAM@ ]; then
		echo "There is no @PROGRAM@"
		exit 5
	fi
	setsid sh -c 'echo $$ >"$0"
		trap "kill \$agent 2>/dev/null; wait \$agent; rm -f $0; exit 0" TERM
		log=$1
		shift
		while :; do
			[ ! -e "$log" ] || [ "$(wc -c <"$log")" -lt 1000000 ] || mv -f "$log" "$log.1"
			"$@" >>"$log" 2>&1 &
			agent=$!
			wait $agent
			sleep 3 &
			agent=$!
			wait $agent
		done' $pid_file $log @PROGRAM@ agent >/dev/null 2>&1 </dev/null &
	for i in 1 2 3 4 5 6 7 8 9 10; do
		running && break
		sleep 1
	done
	running || exit 1
	;;
stop)
	running || exit 0
	pid=$(cat $pid_file)
	kill "$pid"
	i=0
	while kill -0 "$pid" 2>/dev/null; do
		i=$((i + 1))
		if [ $i -gt 60 ]; then
			kill -9 -- "-$pid"
			break
		fi
		sleep 1
	done
	rm -f $pid_file
	;;
restart | force-reload)
	"$0" stop && "$0" start
	;;
status)
	if running; then
		echo "Running"
	else
		echo "Stopped"
		exit 3
	fi
	;;
*)
	echo "Usage: $0 {start|stop|restart|status}"
	exit 2
	;;
esac
`

// environment is how both scripts give the agent its environment, with what the computer's owner has set.
const environment = `HOME=/root
DHOW_STDERR=crashes
export HOME DHOW_STDERR
for f in /etc/default/dhow /etc/sysconfig/dhow; do
	if [ -r $f ]; then
		set -a
		. $f
		set +a
	fi
done
`
