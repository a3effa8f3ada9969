package fetch

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// FuzzChallenge reads any header as the ways to log in: bounded, and never a bearer without a realm.
func FuzzChallenge(f *testing.F) {
	for _, s := range []string{
		`Bearer realm="https://auth.example.org/token",service="registry.example.org",scope="repository:emr:pull"`,
		`Basic realm="a b", Bearer realm=x`, `Negotiate abc==, Basic realm="\"q\""`, `Bearer realm="unterminated`, `,,= =`, `Bearer`, "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if list := parseChallenges(s); len(list) > maxChallenges {
			t.Errorf("%d challenges", len(list))
		}
		c, ok := choose(http.Header{"Www-Authenticate": {s}})
		if ok && c.scheme != "basic" && (c.scheme != "bearer" || c.realm == "") || !ok && c != (challenge{}) {
			t.Errorf("%+v, %v", c, ok)
		}
	})
}

func TestChallenges(t *testing.T) {
	for text, want := range map[string]challenge{
		`Bearer realm="https://a/token",service="b c",scope="d"`: {"bearer", "https://a/token", "b c", "d"},
		`Basic realm="x, y" , bearer Realm = "r" , service=s`:    {"bearer", "r", "s", ""},
		`Negotiate abc==, BASIC realm="\"q\\"`:                   {"basic", `"q\`, "", ""},
		`Bearer service="x", Basic`:                              {"basic", "", "", ""},
	} {
		if c, ok := choose(http.Header{"Www-Authenticate": {text}}); !ok || c != want {
			t.Errorf("%s: %+v", text, c)
		}
	}
	for _, text := range []string{"", "Digest realm=x", `Bearer service="x"`, "Bearer " + strings.Repeat("x", maxChallenge)} {
		if c, ok := choose(http.Header{"Www-Authenticate": {text}}); ok {
			t.Errorf("%.40s: %+v", text, c)
		}
	}
}

// FuzzRetryAfter reads any header as a wish for a pause, which is never negative and never long.
func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"120", "-1", "99999999999999999999", "Wed, 21 Oct 2015 07:28:00 GMT", "soon", ""} {
		f.Add(s, "Wed, 21 Oct 2015 07:27:00 GMT")
	}
	f.Fuzz(func(t *testing.T, after, date string) {
		resp := &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {after}, "Date": {date}}}
		wait, ok := retryAfter(resp, time.Unix(1<<31, 0))
		if wait < 0 || wait > maxPause || !ok && wait != 0 {
			t.Errorf("%v, %v", wait, ok)
		}
	})
}

// FuzzToken reads any bytes as the answer of a server of tokens: what comes out can stand in a header.
func FuzzToken(f *testing.F) {
	for _, s := range []string{
		`{"token":"a.b-c","expires_in":300}`, `{"access_token":"x","expires_in":-1}`, `{"token":"a\r\nHost: evil"}`, `{"token":7}`,
		`{"token":"x","expires_in":1e300}`, `[]`, `<html>`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		token, life, err := parseToken(data)
		if (err == nil) == (token == "") || strings.ContainsAny(token, " \r\n\x00") || err == nil && (life <= 0 || life > 366*24*time.Hour) {
			t.Errorf("%q for %v, error %v", token, life, err)
		}
	})
}

// FuzzDockerConfig reads any bytes as Docker's configuration: no password gets into an error.
func FuzzDockerConfig(f *testing.F) {
	for _, s := range []string{
		`{"auths":{"HOST":{"auth":"YW5uYTp0cjBtYm9uZQ=="}},"credsStore":"x","credHelpers":{"HOST":"y"}}`, `{"auths":{"https://HOST/v1/":{"auth":"tr0mbone"}}}`,
		`{"auths":["tr0mbone"]}`, `{"tr0mbone`, "",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseDockerConfig("config.json", data)
		if err == nil {
			c.helper("HOST")
			_, err = c.inFile("HOST", "emr")
		}
		if err != nil && (strings.Contains(err.Error(), "tr0mbone") || len(err.Error()) > 3*maxDockerConfig) {
			t.Errorf("error %v", err)
		}
	})
}

// TestRealms: where a registry may send us for a token.
func TestRealms(t *testing.T) {
	for _, c := range []struct {
		spec, scheme, realm string
		ok                  bool
	}{
		{"registry.example.org", "https", "https://auth.example.com/token", true},
		{"registry.example.org", "https", "https://10.0.0.6:5001/token", true},
		{"10.0.0.5:5000", "https", "https://10.0.0.6:5001/token", true},
		{"10.0.0.5:5000", "http", "http://10.0.0.6:5001/token", true},
		{"10.0.0.5:5000", "https", "http://10.0.0.6:5001/token", false},
		{"registry.example.org", "https", "http://auth.example.com/token", false},
		{"registry.example.org", "https", "http://169.254.169.254/latest", false},
		{"registry.example.org", "http", "http://169.254.169.254/latest", false},
		{"registry.example.org", "https", "https://169.254.169.254/latest", false},
		{"registry.example.org", "https", "https://localhost:2375/", false},
		{"registry.example.org", "https", "https://[::ffff:127.0.0.1]/", false},
		{"registry.example.org", "https", "https://[fe80::1%25eth0]/", false},
		{"registry.example.org", "https", "https://0.0.0.0/", false},
		{"localhost:5000", "http", "http://127.0.0.1:5001/token", true},
		{"registry.example.org", "https", "https://u:p@auth.example.com/", false},
		{"registry.example.org", "https", "ftp://auth.example.com/", false},
		{"registry.example.org", "https", "/token", false},
		{"registry.example.org", "https", "", false},
		{"registry.example.org", "https", "https://a b/", false},
	} {
		repo, plain, err := Repository("oci://" + c.spec + "/emr?insecure")
		if err != nil {
			t.Fatal(err)
		}
		l := &login{repo: repo, plain: plain, scheme: c.scheme, challenge: challenge{realm: c.realm}}
		if u, err := l.realm(); (err == nil) != c.ok {
			t.Errorf("%s over %s sends us to %q: %v, error %v", c.spec, c.scheme, c.realm, u, err)
		}
	}
}
