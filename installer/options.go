package installer

import "github.com/kardianos/service"

const description = "Dhow keeps this site on the release that the central team has chosen"

// config is the service as kardianos/service knows it.
func config(program string) *service.Config {
	return &service.Config{
		Name: Name, DisplayName: "Dhow", Description: description,
		Executable: program, Arguments: []string{"agent"},
		Option: service.KeyValue{
			"SystemdScript": Unit(),
			"SysvScript":    filled(sysv),
			"OpenRCScript":  filled(openrc),
			// launchd: at boot, and again when it ends.
			"RunAtLoad": true, "KeepAlive": true,
			// Windows: the same; after the network, which comes late there.
			"OnFailure": "restart", "OnFailureDelayDuration": "3s", "DelayedAutoStart": true,
			"LogDirectory": "/var/log",
		},
	}
}
