package installer

import "github.com/kardianos/service"

// ServiceCommand is what a person types to start or restart a service with the init system of this computer.
func ServiceCommand(verb, name string) string {
	return serviceCommand(service.Platform(), pid1(), verb, name)
}

func serviceCommand(platform, pid1, verb, name string) string {
	if hasInit(platform, pid1, exists) {
		switch platform {
		case "linux-openrc":
			return "sudo rc-service " + name + " " + verb
		case "unix-systemv":
			return "sudo service " + name + " " + verb
		}
	}
	return "sudo systemctl " + verb + " " + name
}
