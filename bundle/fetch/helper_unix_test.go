//go:build unix

package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dhow/bundle/fetch"
)

// program puts a shell script on the PATH. What it is asked is written beside it.
func program(t *testing.T, name, script string) (asked string) {
	t.Helper()
	dir := t.TempDir()
	asked = filepath.Join(dir, "asked")
	text := "#!/bin/sh\nserver=$(cat)\necho \"$1 $server\" >>" + asked + "\n" + script
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return asked
}

const (
	good    = `echo "{\"ServerURL\":\"$server\",\"Username\":\"anna\",\"Secret\":\"tr0mbone\"}"`
	unknown = "echo credentials not found in native keychain; exit 1"
)

func TestCredentialHelper(t *testing.T) {
	for _, c := range []struct{ name, config, script, refresh, refused string }{
		{"of the registry", `{"credHelpers": {"HOST": "little"}, "credsStore": "none"}`, good, "", ""},
		{"of all", `{"credsStore": "little", "auths": {"HOST": {}}}`, good, "", ""},
		{"an identity token", `{"credsStore": "little"}`, strings.Replace(good, "anna", "<token>", 1), "tr0mbone", ""},
		{"not of this one", `{"credHelpers": {"registry.example.org": "missing"}, "auths": {"HOST": {"auth": "YW5uYTp0cjBtYm9uZQ=="}}}`, good, "", ""},
		{"knows nobody", `{"credsStore": "little"}`, unknown, "", "nobody has logged in to HOST here (docker login HOST)"},
		{
			"fails", `{"credsStore": "little"}`, "echo the keychain is locked; echo more; exit 3", "",
			"the credential helper docker-credential-little, which CONFIG names, failed: the keychain is locked",
		},
		{"fails silently", `{"credsStore": "little"}`, "exit 3", "", "the credential helper docker-credential-little, which CONFIG names, failed: exit status 3"},
		{"says nothing", `{"credsStore": "little"}`, "exit 0", "", "the credential helper docker-credential-little, which CONFIG names, gave no login"},
		{"talks", `{"credsStore": "little"}`, "yes tr0mbone | head -c 100000", "", "the credential helper docker-credential-little, which CONFIG names, answered more than anybody can need"},
		{"is missing", `{"credHelpers": {"HOST": "missing"}}`, good, "", "the credential helper docker-credential-missing, which CONFIG names, is not on the PATH"},
		{"is a path", `{"credHelpers": {"HOST": "../../bin/sh"}}`, good, "", "the credential helper docker-credential-../../bin/sh, which CONFIG names, has an impossible name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := guard(t, 10, nil)
			config := dockerLogin(t, strings.ReplaceAll(c.config, "HOST", g.host()))
			asked := program(t, "docker-credential-little", c.script)
			if c.refused != "" { // where docker pull goes on as nobody Dhow does, too
				if _, err := stamp(t, fetch.NewNetwork(), g.spec()); err != nil {
					t.Errorf("a registry for everybody: %v", err)
				}
			}
			g.user, g.password, g.refresh = "anna", "tr0mbone", c.refresh
			g.revoke()
			_, err := stamp(t, fetch.NewNetwork(), g.spec())
			if c.refused == "" {
				if err != nil {
					t.Error(err)
				}
				said, _ := os.ReadFile(asked)
				if want := "get " + g.host() + "\n"; string(said) != want && c.name != "not of this one" {
					t.Errorf("the helper was asked %q", said)
				}
				return
			}
			want := ": source does not answer: access is refused (HTTP 401); " + strings.NewReplacer("HOST", g.host(), "CONFIG", config).Replace(c.refused)
			if err == nil || !strings.HasSuffix(err.Error(), want) || strings.Contains(err.Error(), "tr0mbone") {
				t.Errorf("got  %v\nwant …%s", err, want)
			}
		})
	}
}

// TestCredentialHelperThatHangs, with a child that keeps its output open: it is given up, by its own time and by the caller's.
func TestCredentialHelperThatHangs(t *testing.T) {
	config := dockerLogin(t, `{"credsStore": "slow"}`)
	program(t, "docker-credential-slow", "sleep 60 & sleep 60")
	fetch.HelperWait(t, 100*time.Millisecond)
	begin := time.Now()
	_, err := fetch.CredentialOf(ctx, "registry.example.org", "emr")
	want := fmt.Sprintf("the credential helper docker-credential-slow, which %s names, did not answer within 100ms", config)
	if err == nil || err.Error() != want || time.Since(begin) > 30*time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	fetch.HelperWait(t, time.Hour)
	ended, cancel := context.WithTimeoutCause(ctx, 100*time.Millisecond, errors.New("enough"))
	defer cancel()
	if _, err := fetch.CredentialOf(ended, "registry.example.org", "emr"); err == nil || !strings.HasSuffix(err.Error(), "enough") {
		t.Error(err)
	}
}

// TestWhereLoginsAre: Docker's own registry has several names, and podman keeps its logins elsewhere.
func TestWhereLoginsAre(t *testing.T) {
	for _, config := range []string{
		`{"auths": {"https://index.docker.io/v1/": {"auth": "YW5uYTp0cjBtYm9uZQ=="}}}`,
		`{"auths": {"docker.io": {"auth": "YW5uYTp0cjBtYm9uZQ=="}}}`,
	} {
		dockerLogin(t, config)
		if c, err := fetch.CredentialOf(ctx, "index.docker.io", "team/emr"); err != nil || c.User != "anna" || c.Password != "tr0mbone" {
			t.Errorf("%s: %+v, error %v", config, c, err)
		}
	}
	asked := program(t, "docker-credential-hub", good)
	dockerLogin(t, `{"credsStore": "hub"}`)
	if c, err := fetch.CredentialOf(ctx, "index.docker.io", "team/emr"); err != nil || c.User != "anna" {
		t.Errorf("%+v, error %v", c, err)
	}
	if said, _ := os.ReadFile(asked); string(said) != "get https://index.docker.io/v1/\n" {
		t.Errorf("asked %q", said)
	}
	t.Setenv("DOCKER_AUTH_CONFIG", `{"auths": {"registry.example.org": {"auth": "YW5uYTp0cjBtYm9uZQ=="}}}`)
	if c, err := fetch.CredentialOf(ctx, "registry.example.org", "emr"); err != nil || c.User != "anna" {
		t.Errorf("%+v, error %v", c, err)
	}
	t.Setenv("DOCKER_AUTH_CONFIG", "")
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	podman := filepath.Join(t.TempDir(), "auth.json")
	if err := os.WriteFile(podman, []byte(`{"auths": {"registry.example.org": {"auth": "YW5uYTp0cjBtYm9uZQ=="}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("REGISTRY_AUTH_FILE", podman)
	if c, err := fetch.CredentialOf(ctx, "registry.example.org", "emr"); err != nil || c.User != "anna" {
		t.Errorf("%+v, error %v", c, err)
	}
	if c, err := fetch.CredentialOf(ctx, "example.org", "emr"); err != nil || !c.Anonymous() {
		t.Errorf("%+v, error %v", c, err)
	}
}
