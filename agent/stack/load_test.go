package stack

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/docker/compose/v5/pkg/compose"
)

const clinic = `
x-common: &common
  restart: unless-stopped
services:
  gateway:
    <<: *common
    image: registry.example.org/gateway:${TAG:-1}
    ports: ["${PORT:-8080}:80", "127.0.0.1:8443:443", "53/udp", "9000-9001:9000-9001"]
    expose: ["81"]
    depends_on: [backend]
    volumes: ["./conf:/conf:ro"]
  backend:
    <<: *common
    image: registry.example.org/backend:${TAG:-1}
    environment:
      PASSWORD: ${DB_PASSWORD:?say the password}
      PASSED: 
      HOME:
    env_file: [extra.env]
    depends_on:
      db: {condition: service_healthy}
    volumes: [files:/files, data:/read:ro]
  db:
    image: registry.example.org/db:1
    restart: on-failure:3
    volumes: [data:/data, /anonymous]
  batch:
    image: registry.example.org/batch:1
    deploy: {restart_policy: {condition: any}}
  migrate:
    image: registry.example.org/backend:${TAG:-1}
    profiles: [migrate]
    ports: ["7000:7000"]
    depends_on: [db]
    volumes: [only-migrate:/m]
volumes:
  data:
  files: {name: old_files, external: true}
  unused:
  only-migrate:
`

// folder writes files and returns their folder.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func clinicSource(t testing.TB) Source {
	return Source{
		Dir:   folder(t, map[string]string{"c/compose.yaml": clinic, "extra.env": "EXTRA=${TAG}-x\n", ".env": "TAG=from-dotenv\n"}),
		Files: []string{"c/compose.yaml"}, Project: "Clinic One!", Env: map[string]string{"DB_PASSWORD": "secret", "PASSED": "on", "TAG": "7"},
	}
}

func load(t testing.TB, s Source) *Project {
	t.Helper()
	p, err := Load(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLoad(t *testing.T) {
	t.Setenv("HOME", "/of-this-process")
	t.Setenv("TAG", "of-this-process")
	s := clinicSource(t)
	p := load(t, s)
	if p.Name() != "clinicone" {
		t.Errorf("name %q", p.Name())
	}
	if got := p.Services(); !reflect.DeepEqual(got, []string{"batch", "db", "backend", "gateway"}) {
		t.Errorf("services %v", got)
	}
	wantPorts := []Port{
		{"gateway", "", 0, 53, "udp"},
		{"gateway", "", 8080, 80, "tcp"},
		{"gateway", "127.0.0.1", 8443, 443, "tcp"},
		{"gateway", "", 9000, 9000, "tcp"},
		{"gateway", "", 9001, 9001, "tcp"},
	}
	if got := p.Ports(); !reflect.DeepEqual(got, wantPorts) {
		t.Errorf("ports %v", got)
	}
	wantVolumes := []Volume{
		{"data", "clinicone_data", false, []string{"backend", "db"}}, {"files", "old_files", true, []string{"backend"}},
	}
	if got := p.Volumes(); !reflect.DeepEqual(got, wantVolumes) {
		t.Errorf("volumes %v", got)
	}
	for service, want := range map[string]string{
		"gateway": "unless-stopped", "db": "on-failure:3", "batch": "always", "none": "no",
	} {
		if got := p.Restart(service); got != want {
			t.Errorf("restart of %s: %s, want %s", service, got, want)
		}
	}
	b := p.view.Services["backend"]
	if *b.Environment["PASSWORD"] != "secret" || *b.Environment["PASSED"] != "on" || *b.Environment["EXTRA"] != "7-x" {
		t.Errorf("environment %v", b.Environment)
	}
	if home := b.Environment["HOME"]; home != nil {
		t.Errorf("the environment of this process reached a container: %q", *home)
	}
	if b.PullPolicy != "never" || b.Image != "registry.example.org/backend:7" || p.Image("backend") != b.Image {
		t.Errorf("%s, pull %s", b.Image, b.PullPolicy)
	}
	g := p.view.Services["gateway"]
	if g.Volumes[0].Source != filepath.Join(s.Dir, "conf") {
		t.Errorf("bind mount from %s", g.Volumes[0].Source)
	}
	if l := g.CustomLabels; l["com.docker.compose.project"] != "clinicone" || l["com.docker.compose.service"] != "gateway" ||
		l["com.docker.compose.project.working_dir"] != s.Dir || l["com.docker.compose.oneoff"] != "False" ||
		l["com.docker.compose.project.config_files"] != filepath.Join(s.Dir, "c/compose.yaml") {
		t.Errorf("labels %v", l)
	}
}

func TestLoadOptions(t *testing.T) {
	s := clinicSource(t)
	s.Profiles = []string{"migrate"}
	s.Images = map[string]string{"backend": "dhow.local/backend:0123456789abcdef", "migrate": "dhow.local/backend:0123456789abcdef"}
	s.WorkingDir = folder(t, map[string]string{"extra.env": "EXTRA=there\n"})
	p := load(t, s)
	if !slices.Contains(p.Services(), "migrate") {
		t.Errorf("the profile is not active: %v", p.Services())
	}
	if p.Image("backend") != s.Images["backend"] || p.Image("migrate") != s.Images["migrate"] || p.Image("db") != "registry.example.org/db:1" {
		t.Errorf("images %s %s %s", p.Image("backend"), p.Image("migrate"), p.Image("db"))
	}
	g := p.view.Services["gateway"]
	if g.Volumes[0].Source != filepath.Join(s.WorkingDir, "conf") || g.CustomLabels["com.docker.compose.project.working_dir"] != s.WorkingDir {
		t.Errorf("%v %v", g.Volumes[0].Source, g.CustomLabels)
	}
	if *p.view.Services["backend"].Environment["EXTRA"] != "there" {
		t.Error("env_file is not taken from the working folder")
	}
	named := load(t, Source{Dir: folder(t, map[string]string{"c.yaml": "name: given\nservices: {a: {image: x}}"}), Files: []string{"c.yaml"}})
	if named.Name() != "given" {
		t.Errorf("name %q", named.Name())
	}
}

func TestLoadRefuses(t *testing.T) {
	dir := folder(t, map[string]string{
		"ok.yaml": "services: {a: {image: x}}", "bad.yaml": "services: [", "none.yaml": "services: {a: {image: '${X:?say X}'}}",
		"model.yaml": "services: {a: {provider: {type: cloud}}}", "circle.yaml": "services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [a]}}",
		"big.yaml": strings.Repeat("#", maxFile+1),
	})
	for want, s := range map[string]Source{
		"no compose file is named":                        {},
		"it is outside of":                                {Files: []string{"../x.yaml"}},
		"cannot read compose file gone.yaml: file does n": {Files: []string{"gone.yaml"}},
		"it is not a file":                                {Files: []string{"."}},
		"it is larger than":                               {Files: []string{"big.yaml"}},
		"yaml":                                            {Files: []string{"bad.yaml"}},
		"say X":                                           {Files: []string{"none.yaml"}},
		"service a needs a provider":                      {Files: []string{"model.yaml"}},
		"dependency cycle":                                {Files: []string{"circle.yaml"}},
		"given for service b":                             {Files: []string{"ok.yaml"}, Images: map[string]string{"b": "x"}},
	} {
		s.Dir = dir
		_, err := Load(context.Background(), s)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}

func TestHashes(t *testing.T) {
	p := load(t, clinicSource(t))
	open, err := p.Hashes(false)
	if err != nil {
		t.Fatal(err)
	}
	closed, err := p.Hashes(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Services() {
		if len(open[s]) != 64 {
			t.Errorf("%s: %q", s, open[s])
		}
		if (open[s] != closed[s]) != (s == "gateway") {
			t.Errorf("%s: closing the doors changes the wrong hashes", s)
		}
		if want, err := compose.ServiceHash(p.view.Services[s]); err != nil || open[s] != want {
			t.Errorf("%s: %s, compose says %s", s, open[s], want)
		}
	}
	again, err := p.Hashes(false)
	if err != nil || !reflect.DeepEqual(open, again) {
		t.Error("hashes change")
	}
	if len(p.Ports()) == 0 {
		t.Error("closing changed the project")
	}
}

func TestOnce(t *testing.T) {
	p := load(t, clinicSource(t))
	project, slug, err := p.once("migrate")
	if err != nil {
		t.Fatal(err)
	}
	if got := project.ServiceNames(); !reflect.DeepEqual(got, []string{"db", "migrate-run-" + slug}) {
		t.Errorf("services %v", got)
	}
	m := project.Services["migrate-run-"+slug]
	if m.CustomLabels["com.docker.compose.service"] != "migrate" || m.CustomLabels["com.docker.compose.oneoff"] != "True" ||
		m.ContainerName != "clinicone-migrate-run-"+slug || len(m.Ports) != 0 {
		t.Errorf("%+v", m)
	}
	if _, ok := project.Volumes["only-migrate"]; !ok {
		t.Error("its volume is missing")
	}
	if p.full.AllServices()["migrate"].CustomLabels["com.docker.compose.oneoff"] != "False" {
		t.Error("the project has changed")
	}
	if _, _, err := p.once("nobody"); err == nil {
		t.Error("an unknown service is taken")
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(clinic))
	f.Add([]byte("services: {a: {image: x, ports: ['1-3:1-3'], volumes: [{type: volume}]}}"))
	f.Add([]byte("services: {a: {image: x, restart: 'on-failure:x', depends_on: {b: {condition: service_healthy, required: false}}}}"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, "c.yaml"), data, 0o644); err != nil {
			t.Fatal(err)
		}
		p, err := Load(context.Background(), Source{Dir: dir, Files: []string{"c.yaml"}, Project: "x"})
		if err != nil {
			return
		}
		if _, err := p.Hashes(true); err != nil {
			t.Error(err)
		}
		p.Ports()
		p.Volumes()
		if got, want := len(p.Services()), len(p.view.Services); got != want {
			t.Errorf("%d of %d services", got, want)
		}
	})
}
