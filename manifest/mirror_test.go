package manifest

import "testing"

func TestParseMirror(t *testing.T) {
	for _, c := range []struct {
		of, by string
		want   Mirror
	}{
		{"docker.io", "registry.local:5000", Mirror{"docker.io", "registry.local:5000", "", false}},
		{"index.docker.io", "registry.example.org/hub/", Mirror{"docker.io", "registry.example.org", "hub", false}},
		{"Registry.Example.org:5000", "http://10.0.0.5:5000/a/b", Mirror{"registry.example.org:5000", "10.0.0.5:5000", "a/b", true}},
		{"ghcr.io", "https://cache.example.org", Mirror{"ghcr.io", "cache.example.org", "", false}},
		{"ghcr.io", "HTTP://[fd00::1]:5000", Mirror{"ghcr.io", "[fd00::1]:5000", "", true}},
	} {
		if got, err := ParseMirror(c.of, c.by); err != nil || got != c.want {
			t.Errorf("%s=%s: %+v, error %v", c.of, c.by, got, err)
		}
	}
	for _, c := range []struct{ of, by, want string }{
		{"docker.io/library", "a:5000", `"docker.io/library" is not the name of a registry: write it like docker.io or registry.example.org:5000`},
		{"", "a:5000", `"" is not the name of a registry: write it like docker.io or registry.example.org:5000`},
		{"docker.io", "", `"" is not the address of a mirror: write it like registry.local:5000 or registry.example.org/hub`},
		{"docker.io", "a b", `"a b" is not the address of a mirror: write it like registry.local:5000 or registry.example.org/hub`},
		{"docker.io", "a/../b", `"a/../b" is not the address of a mirror: write it like registry.local:5000 or registry.example.org/hub`},
		{"docker.io", "a?x=y", `"a?x=y" is not the address of a mirror: write it like registry.local:5000 or registry.example.org/hub`},
		{"docker.io", "ftp://a", "the address of a mirror begins with https://, http:// or its host"},
		{"docker.io", "u:secret@a", "the address of a mirror holds no password: docker login is the place for it"},
		{
			"docker.io", "http://registry.example.org",
			"plain http to registry.example.org is not allowed: http:// is for hosts of the same building (10.0.0.5, registry.local)",
		},
		{"docker.io", "index.docker.io", "docker.io is its own mirror"},
	} {
		if _, err := ParseMirror(c.of, c.by); err == nil || err.Error() != c.want {
			t.Errorf("%s=%s: error %v", c.of, c.by, err)
		}
	}
}

func TestLocalHost(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "server": true, "server:8911": true, "nas.local": true, "NAS.LOCAL.:80": true, "10.1.2.3": true, "192.168.1.2:5000": true,
		"172.16.0.1": true, "127.0.0.1:1": true, "169.254.1.1": true, "[::1]:80": true, "fe80::1": true, "[fd00::2]": true, "::ffff:10.0.0.1": true,
		"registry.example.org": false, "8.8.8.8": false, "172.32.0.1": false, "100.64.0.1": false, "[2001:db8::1]:443": false, "": false,
		"local.example.org": false,
	} {
		if got := LocalHost(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}
