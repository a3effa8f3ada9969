package stack

import (
	"encoding/json"
	"errors"
	"net"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const scratchStack = `
services:
  gateway:
    image: registry.example.org/gateway:1
    container_name: emr-gateway
    restart: always
    ports: ["8080:80"]
    labels: {traefik.enable: "true"}
    logging: {driver: syslog, options: {syslog-address: "tcp://logs.example.org:514"}}
    extra_hosts: ["sms.example.org:10.1.2.3"]
    volumes: ["./conf:/conf", "/srv/patients/scans:/scans", "/srv/letters:/letters:ro"]
    networks:
      front: {aliases: [web], ipv4_address: 10.77.0.5}
      company:
    depends_on: [db]
  db:
    image: registry.example.org/db:1
    deploy: {restart_policy: {condition: any}, labels: {a: b}}
    mac_address: 02:42:ac:11:00:05
    volumes: [data:/data, other:/other, raw:/raw, /anonymous]
    networks: [front]
  migrate:
    image: registry.example.org/gateway:1
    profiles: [migrate]
    container_name: emr-migrate
    volumes: [data:/data]
networks:
  front:
    ipam: {config: [{subnet: 10.77.0.0/24}]}
  company: {external: true, name: company-lan}
volumes:
  data:
  other: {external: true, name: old_files}
  raw:
    driver: local
    driver_opts: {type: none, o: bind, device: /srv/raw}
`

func TestScratch(t *testing.T) {
	dir := folder(t, map[string]string{"compose.yaml": scratchStack, "conf/x": ""})
	p := load(t, Source{Dir: dir, Files: []string{"compose.yaml"}, Project: "emr"})
	before := described(t, p)
	s, err := p.Scratch("dhow-drill-emr", map[string]string{"/srv/patients": "/tmp/drill/a", "/srv/letters/": "/tmp/drill/b"})
	if err != nil {
		t.Fatal(err)
	}
	if s.Name() != "dhow-drill-emr" || len(s.Ports()) != 0 || s.Dir() != p.Dir() {
		t.Errorf("name %s, ports %v, folder %s", s.Name(), s.Ports(), s.Dir())
	}
	wantVolumes := []Volume{
		{Key: "data", Name: "dhow-drill-emr_data", Services: []string{"db"}},
		{Key: "other", Name: "dhow-drill-emr_other", Services: []string{"db"}},
		{Key: "raw", Name: "dhow-drill-emr_raw", Services: []string{"db"}},
	}
	if got := s.Volumes(); !reflect.DeepEqual(got, wantVolumes) {
		t.Errorf("volumes %v", got)
	}
	wantBinds := []Bind{
		{Service: "gateway", Source: filepath.Join(p.Dir(), "conf"), Target: "/conf", ReadOnly: true},
		{Service: "gateway", Source: "/tmp/drill/a/scans", Target: "/scans"},
		{Service: "gateway", Source: "/tmp/drill/b", Target: "/letters", ReadOnly: true},
	}
	if got := s.Binds(); !reflect.DeepEqual(got, wantBinds) {
		t.Errorf("binds %v", got)
	}
	seen := map[string]bool{}
	for key, n := range s.view.Networks {
		if !n.Internal || bool(n.External) || n.Name != "dhow-drill-emr_"+key {
			t.Errorf("network %s: %+v", key, n)
		}
		if seen[n.Ipam.Config[0].Subnet] {
			t.Errorf("network %s has the addresses of another one", key)
		}
		seen[n.Ipam.Config[0].Subnet] = true
	}
	for key, v := range s.view.Volumes {
		if len(v.DriverOpts) > 0 || v.Driver != "" {
			t.Errorf("volume %s: %+v", key, v)
		}
	}
	for _, name := range []string{"gateway", "db", "migrate"} {
		service := s.full.AllServices()[name]
		if service.ContainerName != "" || service.MacAddress != "" || s.Restart(name) != "no" || service.Logging.Driver != "json-file" ||
			!reflect.DeepEqual(map[string]string(service.Labels), map[string]string{DrillLabel: "dhow-drill-emr"}) ||
			service.CustomLabels["com.docker.compose.project"] != "dhow-drill-emr" {
			t.Errorf("service %s: %+v", name, service)
		}
	}
	if n := s.view.Services["gateway"].Networks["front"]; n.Ipv4Address != "" || !reflect.DeepEqual(n.Aliases, []string{"web"}) {
		t.Errorf("network of the gateway: %+v", n)
	}
	text := described(t, s)
	for _, gone := range []string{"company-lan", "old_files", "/srv/", "10.77.", "traefik", "syslog", "8080", "02:42"} {
		if strings.Contains(text, gone) {
			t.Errorf("the copy still knows %s", gone)
		}
	}
	if described(t, p) != before {
		t.Error("the original was changed")
	}
	if _, err := s.Scratch("dhow-drill-again", nil); err == nil {
		t.Error("a copy is copied")
	}
	for _, name := range []string{"emr", "dhow-drill-", "dhow-drill-EMR", "dhow-drill-a/b", ""} {
		if _, err := p.Scratch(name, nil); err == nil {
			t.Errorf("the name %q is taken", name)
		}
	}
}

func described(t *testing.T, p *Project) string {
	t.Helper()
	var all strings.Builder
	for _, v := range []any{p.full.Services, p.full.DisabledServices, p.full.Networks, p.full.Volumes, p.view.Services} {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	return all.String()
}

func TestScratchRefuses(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for line, why := range map[string]string{
		"network_mode: host":               "network_mode: host",
		"network_mode: bridge":             "network_mode: bridge",
		"network_mode: container:emr-db-1": "network_mode: container:emr-db-1",
		"pid: host":                        "pid: host",
		"ipc: host":                        "ipc: host",
		"uts: host":                        "uts: host",
		"privileged: true":                 "privileged",
		"devices: [/dev/ttyUSB0]":          "devices",
		"gpus: all":                        "devices",
		"cap_add: [cap_sys_admin]":         "cap_add: cap_sys_admin",
		"use_api_socket: true":             "use_api_socket",
		"volumes: [/var/run/docker.sock:/var/run/docker.sock]": "it mounts /var/run/docker.sock",
		"volumes: [\"/var/run:/r:ro\"]":                        "it mounts /var/run",
		"volumes: [\"/:/host:ro\"]":                            "it mounts /",
		"volumes: [/dev/ttyS0:/t]":                             "it mounts /dev/ttyS0",
		"volumes: [" + socket + ":/s]":                         "it mounts " + socket + ", which is neither a file nor a folder",
		"volumes_from: [container:emr-db-1]":                   "volumes_from: container:emr-db-1",
	} {
		dir := folder(t, map[string]string{"compose.yaml": "services:\n  sms:\n    image: a:1\n    " + line + "\n"})
		p := load(t, Source{Dir: dir, Files: []string{"compose.yaml"}, Project: "emr"})
		_, err := p.Scratch("dhow-drill-emr", nil)
		want := "service sms can't be tried in a copy: it can't be kept apart from the real one: " + why
		if !errors.Is(err, ErrNotIsolated) || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", line, err, want)
		}
	}
	// What may be: another service's namespace, none at all, harmless capabilities.
	dir := folder(t, map[string]string{"compose.yaml": `
services:
  a: {image: "a:1", network_mode: "service:b", cap_add: [SYS_NICE], ipc: shareable}
  b: {image: "a:1", volumes: ["/etc/hostname:/h:ro"]}
  c: {image: "a:1", network_mode: none}
`})
	if _, err := load(t, Source{Dir: dir, Files: []string{"compose.yaml"}, Project: "emr"}).Scratch("dhow-drill-emr", nil); err != nil {
		t.Error(err)
	}
}
