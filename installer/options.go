package installer

import "github.com/kardianos/service"

const description = "Dhow keeps this site on the release that the central team has chosen"

// config is the service as kardianos/service knows it, for the init system (service.Platform) that runs here.
func config(platform, program string) *service.Config {
	c := &service.Config{
		Name: Name, DisplayName: "Dhow", Description: description,
		Executable: program, Arguments: []string{"agent"},
		Option: service.KeyValue{
			"SystemdScript": Unit(),
			"SysvScript":    sysv,
			// launchd: at boot, and again when it ends.
			"RunAtLoad": true, "KeepAlive": true,
			// Windows: the same; after the network, which comes late there.
			"OnFailure": "restart", "OnFailureDelayDuration": "3s", "DelayedAutoStart": true,
			"LogDirectory": "/var/log",
		},
	}
	if platform == "linux-openrc" {
		// supervise-daemon, which the library's script asks for, starts it again.
		c.Dependencies = []string{"need localmount", "use net", "after docker"}
	}
	return c
}
