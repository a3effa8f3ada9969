package installer

import "strings"

// unit is the service for systemd; @PROGRAM@ is the program.
//
// Whoever may talk to the engine is root in all but name, so the hardening does not stop somebody who has taken the agent over; it bounds
// what a mistake in it, or in what it reads from the line, can do to the computer. What is not there:
//
//   - ProtectSystem=, ProtectHome=, PrivateTmp=: data of a stack may lie in any folder of the computer and are put back there, also where a compose
//     file mounts /usr/share/zoneinfo without ":ro", as many do. The agent replaces its own program (see agent/self). Root's login to a registry is in
//     /root; "dhow update --from /tmp/emr.tgz" names a file in everybody's /tmp.
//   - PrivateMounts=, MountFlags=: a stick that is plugged in later must appear for the agent too. The namespace that the lines below make receives mounts.
//   - PrivateDevices=, DevicePolicy=, ProtectClock=: they forbid making device nodes, and what a volume holds is put back as it was.
//   - RestrictSUIDSGID=, UMask=: likewise, files come back with their set-user-ID bits; containers read what the agent writes for them.
//   - MemoryDenyWriteExecute=, SystemCallArchitectures=: a hook or the helper of a registry login may be any program.
//   - PrivateNetwork=, IPAddressDeny=, PrivateUsers=, User=: it asks sources, answers at the doors' ports, and owns the volumes' files.
//   - CAP_SYS_ADMIN stays, for trusted and security attributes of files; the calls that would make it dangerous (mount, setns, bpf, …) are filtered.
const unit = `# To change something: systemctl edit dhow
[Unit]
Description=` + description + `
Documentation=man:dhow(1)
Wants=network-online.target
After=network-online.target docker.service
# When a package has been removed this file may stay, with nothing to start.
ConditionFileIsExecutable=@PROGRAM@
# It is started again as often as it ends: nobody is there to do it by hand.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart=@PROGRAM@ agent
Restart=always
RestartSec=3
# Opening a large journal on a slow disk takes long; resuming a change begins after that.
TimeoutStartSec=5min
# A stop leaves a change in good order; what is not done by then goes on at the next start.
TimeoutStopSec=60
# An agent whose socket has not answered for so long hangs. It is killed, with its stacks in the journal, and started again.
WatchdogSec=5min
# The agent ends its children itself; those that outlive it (a login helper, a hook) are killed. Containers belong to the engine.
KillMode=mixed
OOMScoreAdjust=-500
# For logins to registries, ~/.docker/config.json.
Environment=HOME=/root
# HTTP_PROXY and others, if there is such a file.
EnvironmentFile=-/etc/default/dhow
EnvironmentFile=-/etc/sysconfig/dhow

NoNewPrivileges=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectHostname=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
LockPersonality=yes
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
# Files with any owner, mode and attribute; ports below 1024; a notification as the user who sits there.
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_MKNOD CAP_SETFCAP CAP_SYS_ADMIN CAP_NET_BIND_SERVICE CAP_SETUID CAP_SETGID CAP_KILL

[Install]
WantedBy=multi-user.target
`

// Unit is the service for systemd as the packages bring it to /usr/lib/systemd/system/dhow.service, and as Install writes it where no package has.
func Unit() string {
	return filled(unit)
}

// filled is the text of a service with the program in it.
func filled(text string) string {
	return strings.ReplaceAll(text, "@PROGRAM@", Program)
}
