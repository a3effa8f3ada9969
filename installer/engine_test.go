package installer

import (
	"errors"
	"strings"
	"testing"
)

func TestEngineCommands(t *testing.T) {
	for text, want := range map[string]string{
		"PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n": "apt-get update -qq; apt-get install -y -qq -o DPkg::Lock::Timeout=300 docker.io",
		"ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n":                   "apt-get update -qq; apt-get install -y -qq -o DPkg::Lock::Timeout=300 docker.io",
		"NAME=\"Fedora Linux\"\nID=fedora\n":                          "dnf install -y -q moby-engine",
		"ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n":           "zypper --non-interactive install docker",
		"ID_LIKE='suse'\nID=\"sles\"\n":                               "zypper --non-interactive install docker",
		"ID=alpine\n":                                                 "apk add docker",
		"ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n":              "",
		"ID_LIKE=\"rhel fedora\"\nID=other\n":                         "",
		"ID=nixos\n":                                                  "",
		"":                                                            "",
	} {
		commands, err := EngineCommands(text)
		var lines []string
		for _, c := range commands {
			lines = append(lines, strings.Join(c, " "))
		}
		if got := strings.Join(lines, "; "); got != want || (err != nil) != (want == "") || err != nil && !errors.Is(err, ErrNoEngine) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}
