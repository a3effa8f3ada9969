package stack

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
)

func TestShield(t *testing.T) {
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		w.Header().Set("Content-Type", "application/json")
		_, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		switch {
		case r.URL.Path == "/_ping":
		case path == "version" || path == "info":
			_, _ = w.Write([]byte(`{"ApiVersion":"1.41"}`))
		default:
			asked = append(asked, r.Method+" "+path+" "+r.URL.RawQuery)
			w.WriteHeader(http.StatusConflict)
			_, _ = w.Write([]byte(`{"message":"name is taken"}`))
		}
	}))
	defer s.Close()
	cl, err := client.NewClientWithOpts(client.WithHost("tcp://"+strings.TrimPrefix(s.URL, "http://")), client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx := context.Background()
	sh, err := newShield(ctx, cl, true)
	if err != nil {
		t.Fatal(err)
	}
	sh.done = map[string]bool{"done": true}

	if err := sh.VolumeRemove(ctx, "data", true); !errors.Is(err, errNever) {
		t.Errorf("a volume may be removed: %v", err)
	}
	if _, err := sh.VolumesPrune(ctx, filters.Args{}); !errors.Is(err, errNever) {
		t.Errorf("volumes may be pruned: %v", err)
	}
	if _, err := sh.ImagePull(ctx, "x", image.PullOptions{}); !errors.Is(err, errNever) {
		t.Errorf("an image may be pulled: %v", err)
	}
	if err := sh.ContainerStart(ctx, "done", container.StartOptions{}); err != nil {
		t.Error(err)
	}
	if len(asked) != 0 {
		t.Errorf("the engine was asked %q", asked)
	}
	h := &container.HostConfig{RestartPolicy: container.RestartPolicy{Name: "always"}}
	_, err = sh.ContainerCreate(ctx, &container.Config{Labels: map[string]string{labelService: "web"}}, h, nil, nil, "x")
	want := "service web cannot be created: Error response from daemon: name is taken"
	if err == nil || err.Error() != want || h.RestartPolicy.Name != "no" {
		t.Errorf("%v, policy %s", err, h.RestartPolicy.Name)
	}
	_ = sh.ContainerRemove(ctx, "x", container.RemoveOptions{RemoveVolumes: true})
	if last := asked[len(asked)-1]; last != "DELETE containers/x " {
		t.Errorf("anonymous volumes would go: %s", last)
	}
}

func TestNoEngine(t *testing.T) {
	c, err := New("unix://" + t.TempDir() + "/no.sock")
	if err != nil {
		t.Fatal(err)
	}
	p := load(t, clinicSource(t))
	for name, err := range map[string]error{
		"up":   c.Up(context.Background(), p, UpOptions{}),
		"down": c.Down(context.Background(), "x", 0),
		"hold": c.HoldRestarts(context.Background(), "x"),
	} {
		if !errors.Is(err, ErrNotRunning) {
			t.Errorf("%s: %v is not ErrNotRunning", name, err)
		}
	}
	if _, err := New("nonsense"); err == nil {
		t.Error("a bad host is accepted")
	}
}
