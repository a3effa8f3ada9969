package site_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dhow/agent/site"
)

// context writes what "docker context create NAME --docker host=HOST" and "docker context use NAME" leave. The folder is the SHA-256 of the name, as
// sha256sum prints it.
func dockerContext(t *testing.T, home, folder, meta, config string) {
	t.Helper()
	for path, text := range map[string]string{
		filepath.Join(home, ".docker", "contexts", "meta", folder, "meta.json"): meta,
		filepath.Join(home, ".docker", "config.json"):                           config,
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFindEngine(t *testing.T) {
	const rootless = "12b961af5feb3e9d39f93b2cefb9a1a944f18d02cca0cac2f04f5a982240605f" // of "rootless"
	const meta = `{"Name":"rootless","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///run/user/1000/docker.sock","SkipTLSVerify":false}}}`
	for name, c := range map[string]struct {
		configured, meta, config string
		env                      map[string]string
		want                     string
		err                      string
		remote                   bool
	}{
		"nothing":        {want: site.DefaultEngine()},
		"configured":     {configured: "unix:///a", env: map[string]string{"DOCKER_HOST": "unix:///b"}, want: "unix:///a (configuration)"},
		"host":           {env: map[string]string{"DOCKER_HOST": "unix:///b", "DOCKER_CONTEXT": "rootless"}, meta: meta, want: "unix:///b (DOCKER_HOST)"},
		"context":        {meta: meta, config: `{"currentContext":"rootless"}`, want: "unix:///run/user/1000/docker.sock (context rootless)"},
		"asked for":      {meta: meta, config: `{"auths":{}}`, env: map[string]string{"DOCKER_CONTEXT": "rootless"}, want: "unix:///run/user/1000/docker.sock (context rootless)"},
		"default":        {meta: meta, config: `{"currentContext":"rootless"}`, env: map[string]string{"DOCKER_CONTEXT": "default"}, want: site.DefaultEngine()},
		"loopback":       {configured: "tcp://127.0.0.1:2375", want: "tcp://127.0.0.1:2375 (configuration)"},
		"ssh":            {env: map[string]string{"DOCKER_HOST": "ssh://anna:geheim@server"}, err: "cannot use the engine at ssh://anna:xxxxx@server: ", remote: true},
		"tcp":            {configured: "tcp://10.0.0.1:2375", err: "cannot use the engine at tcp://10.0.0.1:2375: ", remote: true},
		"no address":     {configured: "/var/run/docker.sock", err: `cannot use the engine at "/var/run/docker.sock": an address begins with unix://`},
		"remote context": {meta: strings.Replace(meta, "unix:///run/user/1000/docker.sock", "ssh://server", 1), config: `{"currentContext":"rootless"}`, err: "cannot use the engine at ssh://server", remote: true},
		"empty context":  {meta: `{}`, config: `{"currentContext":"rootless"}`, err: `the docker context "rootless" does not say where its engine is`},
		"gone context":   {config: `{"currentContext":"gone"}`, err: `the docker context "gone" does not say where its engine is`},
		"broken":         {config: `{`, err: "config.json of the docker command: unexpected end of JSON input"},
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			dockerContext(t, home, rootless, c.meta, c.config)
			for _, f := range []struct{ path, text string }{{"config.json", c.config}, {"contexts", c.meta}} {
				if f.text == "" {
					if err := os.RemoveAll(filepath.Join(home, ".docker", f.path)); err != nil {
						t.Fatal(err)
					}
				}
			}
			got, err := site.FindEngine(c.configured, func(k string) string { return c.env[k] }, home)
			switch {
			case c.err == "" && (err != nil || got.String() != c.want):
				t.Errorf("%q, %v; want %q", got, err, c.want)
			case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) || errors.Is(err, site.ErrRemote) != c.remote):
				t.Errorf("%v; want %q", err, c.err)
			}
			if err != nil && strings.Contains(err.Error(), "geheim") {
				t.Errorf("a password is told: %v", err)
			}
		})
	}
}

func FuzzDockerContext(f *testing.F) {
	f.Add(`{"currentContext":"a"}`, `{"Endpoints":{"docker":{"Host":"unix:///x"}}}`)
	f.Add(`{"currentContext":"../../a"}`, `{"Endpoints":{"docker":{"Host":"tcp://h:1"}}}`)
	f.Add(`[]`, `null`)
	f.Fuzz(func(t *testing.T, config, meta string) {
		home := t.TempDir()
		dockerContext(t, home, "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb", meta, config) // of "a"
		if e, err := site.FindEngine("", func(string) string { return "" }, home); err == nil && !strings.Contains(e.Address, "://") {
			t.Errorf("%q is an address", e.Address)
		}
	})
}
