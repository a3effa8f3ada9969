//go:build e2e

package daemon

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestWhoReachesTheSocket asks as real users of the system: root, one of the group, and one who is not.
func TestWhoReachesTheSocket(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test needs root")
	}
	paths := prefix(t)
	for dir := filepath.Dir(paths.Run()); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	_, stop := start(t, Options{Paths: paths, Manager: with(newFake()), Next: never, Group: "games"})
	defer func() { _ = stop() }()
	ask := func(as ...string) string {
		args := append(as, "curl", "-s", "-S", "-m", "10", "--unix-socket", paths.Socket(), "http://dhow/v1/status")
		out, _ := exec.Command("setpriv", args...).CombinedOutput()
		return string(out)
	}
	const answer, refused = `"site":"kin-001"`, "Couldn't connect to server"
	for _, c := range []struct {
		who  []string
		want string
	}{
		{[]string{"--reuid=root", "--regid=root", "--clear-groups"}, answer},
		{[]string{"--reuid=news", "--regid=news", "--groups=games"}, answer},
		{[]string{"--reuid=news", "--regid=games", "--clear-groups"}, answer},
		{[]string{"--reuid=news", "--regid=news", "--clear-groups"}, refused},
		{[]string{"--reuid=nobody", "--regid=nogroup", "--clear-groups"}, refused},
	} {
		if got := ask(c.who...); !strings.Contains(got, c.want) {
			t.Errorf("as %s: %s", strings.Join(c.who, " "), got)
		}
	}
}
