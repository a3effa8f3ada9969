package engine

import (
	"reflect"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"
)

func TestDescribe(t *testing.T) {
	in := container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{
			ID: "id", Name: "/clinic-db-1", RestartCount: 2,
			HostConfig: &container.HostConfig{
				RestartPolicy: container.RestartPolicy{Name: "always"},
				PortBindings:  nat.PortMap{"80/tcp": {{HostIP: "127.0.0.1", HostPort: "8080"}}},
			},
			State: &container.State{Status: "running", Health: &container.Health{
				Status: "unhealthy", Log: []*container.HealthcheckResult{{Output: "first"}, {Output: " last words \n"}},
			}},
		},
		Config: &container.Config{Labels: map[string]string{
			labelService: "db", labelHash: "abc", labelOneOff: "False", labelWorkingDir: "/srv", labelFiles: "/srv/a.yaml,/srv/b.yaml",
		}},
		Mounts: []container.MountPoint{
			{Type: mount.TypeVolume, Name: "clinic_data", Destination: "/data", RW: true},
			{Type: mount.TypeVolume, Name: strings.Repeat("0a", 32), Destination: "/tmp", RW: true},
			{Type: mount.TypeBind, Source: "/srv/x", Destination: "/x"},
		},
		NetworkSettings: &container.NetworkSettings{
			Networks: map[string]*network.EndpointSettings{"b": {IPAddress: "10.0.1.2"}, "a": {IPAddress: "10.0.0.2"}, "c": nil},
		},
	}
	want := Container{
		ID: "id", Name: "clinic-db-1", Service: "db", State: "running", Health: "unhealthy", HealthLog: "last words",
		RestartPolicy: "always", Restarts: 2, ConfigHash: "abc", IPs: []string{"10.0.0.2", "10.0.1.2"},
		Mounts: []Mount{
			{Type: "volume", Name: "clinic_data", Destination: "/data"},
			{Type: "volume", Name: strings.Repeat("0a", 32), Destination: "/tmp", Anonymous: true},
			{Type: "bind", Source: "/srv/x", Destination: "/x", ReadOnly: true},
		},
		Ports:      []Port{{"127.0.0.1", 8080, 80, "tcp"}},
		WorkingDir: "/srv", ConfigFiles: []string{"/srv/a.yaml", "/srv/b.yaml"},
	}
	if got := describe(in); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := describe(container.InspectResponse{}); got.RestartPolicy != "no" {
		t.Errorf("an empty answer: %+v", got)
	}
}

func TestClip(t *testing.T) {
	for in, want := range map[string]string{
		" abc\n": "abc", "": "", "abcdef": "cdef", "éééé": "éé", "xéé": "éé", "a\xffb": "a?b",
	} {
		if got := clip(in, 4); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestPlatform(t *testing.T) {
	for _, tt := range [][4]string{
		{"linux", "amd64", "x86_64", "linux/amd64"},
		{"linux", "arm64", "aarch64", "linux/arm64"},
		{"linux", "arm", "armv7l", "linux/arm/v7"},
		{"linux", "arm", "armv8l", "linux/arm/v7"},
		{"linux", "arm", "armv6l", "linux/arm/v6"},
		{"linux", "arm", "?", "linux/arm"},
	} {
		if got := platform(tt[0], tt[1], tt[2]); got != tt[3] {
			t.Errorf("%v: %s", tt, got)
		}
	}
}

func TestFolder(t *testing.T) {
	for name, tt := range map[string]struct {
		driver  string
		options map[string]string
		want    string
	}{
		"plain":   {"local", nil, "/v/_data"},
		"bind":    {"local", map[string]string{"type": "none", "o": "bind", "device": "/srv/data"}, "/srv/data"},
		"rbind":   {"local", map[string]string{"type": "none", "o": "rw,rbind", "device": "/srv/data"}, "/srv/data"},
		"nfs":     {"local", map[string]string{"type": "nfs", "o": "addr=10.0.0.1", "device": ":/x"}, ""},
		"tmpfs":   {"local", map[string]string{"type": "tmpfs", "device": "tmpfs"}, ""},
		"foreign": {"rclone", nil, ""},
	} {
		got, err := folder(tt.driver, "/v/_data", tt.options)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
}

func TestBounds(t *testing.T) {
	h := &head{max: 5}
	l := &tail{max: 5}
	for _, s := range []string{"abc", "", "defg", "hijklmno", "p"} {
		for _, w := range []interface{ Write([]byte) (int, error) }{h, l} {
			if n, err := w.Write([]byte(s)); n != len(s) || err != nil {
				t.Fatal(n, err)
			}
		}
	}
	if h.String() != "abcde" || string(l.data) != "lmnop" {
		t.Errorf("%q %q", h.String(), l.data)
	}
}
