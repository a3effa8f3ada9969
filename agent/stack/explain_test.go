package stack

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/container"
)

func inspected(service, name string, st container.State) container.InspectResponse {
	return container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{Name: "/" + name, State: &st},
		Config:            &container.Config{Labels: map[string]string{labelService: service}},
	}
}

func health(status, output string) *container.Health {
	return &container.Health{Status: status, Log: []*container.HealthcheckResult{{Output: output}}}
}

func TestCulprit(t *testing.T) {
	project := &types.Project{Services: types.Services{
		"app": {Name: "app", DependsOn: types.DependsOnConfig{
			"db":   {Condition: types.ServiceConditionHealthy},
			"prep": {Condition: types.ServiceConditionCompletedSuccessfully},
		}},
	}}
	running := container.State{Status: "running", Running: true}
	for _, tt := range []struct{ service, name, message, want string }{
		{"db", "x-db-1", "dependency failed to start: container x-db-1 is unhealthy", `service db is unhealthy (container running, unhealthy): "cannot connect"`},
		{"prep", "x-prep-1", `service "prep" didn't complete successfully: exit 3`, `service prep ended with exit code 3`},
		{"other", "x-other-1", "something else", ""},
	} {
		bad := running
		switch tt.service {
		case "db":
			bad.Health = health("unhealthy", "cannot\n connect\n")
		default:
			bad = container.State{Status: "exited", ExitCode: 3}
		}
		seen := []container.InspectResponse{inspected("idle", "x-idle-1", container.State{Status: "exited", ExitCode: 1}), inspected(tt.service, tt.name, bad)}
		got := ""
		if c := culprit(project, seen, tt.message); c != nil {
			got = c.Error()
		}
		if got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

func TestWaitedFor(t *testing.T) {
	project := &types.Project{Services: types.Services{
		"app": {Name: "app", DependsOn: types.DependsOnConfig{"db": {Condition: types.ServiceConditionHealthy}, "log": {Condition: types.ServiceConditionStarted}}},
		"web": {Name: "web", DependsOn: types.DependsOnConfig{"prep": {Condition: types.ServiceConditionCompletedSuccessfully}}},
	}}
	for want, in := range map[string]container.InspectResponse{
		`service db did not become healthy in time (container running, starting): "soon"`: inspected("db", "x-db-1", container.State{Status: "running", Running: true, Health: health("starting", "soon")}),
		`service db has no health check, but other services wait until it is healthy`:     inspected("db", "x-db-1", container.State{Status: "running", Running: true}),
		`service db ended with exit code 0`:                                               inspected("db", "x-db-1", container.State{Status: "exited"}),
		`service prep did not end in time (container running)`:                            inspected("prep", "x-prep-1", container.State{Status: "running", Running: true}),
		``: inspected("log", "x-log-1", container.State{Status: "running", Running: true, Health: health("starting", "")}),
	} {
		got := ""
		if c := waitedFor(project, []container.InspectResponse{in}); c != nil {
			got = c.Error()
		}
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestServiceError(t *testing.T) {
	err := error(&ServiceError{Service: "web", Reason: "cannot be started", Err: io.EOF})
	if err.Error() != "service web cannot be started: EOF" || !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if q := quoted(strings.Repeat("é", 1000)); len(q) > maxOutput+20 || !strings.HasPrefix(q, `: "… é`) {
		t.Errorf("%d bytes: %s", len(q), q)
	}
}
