//go:build e2e

package daemon

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
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
	const answer, refused = `"site":"kin-001"`, "Could not connect to server"
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
		if got := ask(c.who...); !strings.Contains(got, c.want) && !(c.want == refused && strings.Contains(got, "Permission denied")) {
			t.Errorf("as %s: %s", strings.Join(c.who, " "), got)
		}
	}
	// There is no other way in: nothing listens on the network.
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if c, err := (&net.Dialer{}).DialContext(ctx, "unix", "@"+paths.Socket()); err == nil {
		_ = c.Close()
		t.Error("an abstract socket answers")
	}
}
