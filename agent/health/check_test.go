package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dhow/manifest"
)

// site is a service "web" on loopback; port is where it listens.
func site(t *testing.T, h http.HandlerFunc) (port string, p Probe) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port(), Probe{Address: func(service string) (string, error) {
		if service == "web" || service == "other" {
			return "127.0.0.1", nil
		}
		return "", fmt.Errorf("no service %s", service)
	}}
}

func TestCheckHTTP(t *testing.T) {
	var hits atomic.Int32
	var self string
	port, probe := site(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ok":
			fmt.Fprintf(w, "Welcome to OpenMRS at %s", r.Host)
		case "/large":
			fmt.Fprint(w, strings.Repeat("x", maxBody), "needle")
		case "/away":
			http.Redirect(w, r, "http://example.org/", http.StatusFound)
		case "/login":
			http.SetCookie(w, &http.Cookie{Name: "s", Value: "1", Path: "/"})
			http.Redirect(w, r, "http://other:"+self+"/behind", http.StatusFound)
		case "/loop":
			hits.Add(1)
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/later":
			if hits.Add(1) < 3 {
				w.WriteHeader(http.StatusBadGateway)
			}
		case "/behind":
			fmt.Fprint(w, "behind ", r.Host)
		case "/nothing":
			c, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_ = c.Close()
			}
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	self = port
	base := "http://web:" + port
	for _, c := range []struct {
		check        manifest.Check
		result, want string
	}{
		{manifest.Check{HTTP: base + "/ok"}, "200", ""},
		{manifest.Check{HTTP: base + "/ok", Status: 200, Contains: "OpenMRS at web:" + port}, "200", ""},
		{manifest.Check{HTTP: base + "/none", Status: 404}, "404", ""},
		{manifest.Check{HTTP: base + "/away", Status: 302}, "302", ""},
		{manifest.Check{HTTP: base + "/login", Contains: "behind other:"}, "200", ""},
		{manifest.Check{HTTP: base + "/later", Within: 20 * time.Second}, "200", ""},
		{manifest.Check{HTTP: base + "/none"}, "404", base + "/none answered 404"},
		{manifest.Check{HTTP: base + "/ok", Status: 204}, "200", base + "/ok answered 200, expected 204"},
		{manifest.Check{HTTP: base + "/ok", Contains: "Bahmni"}, "200", base + `/ok does not contain "Bahmni"`},
		{manifest.Check{HTTP: base + "/large", Contains: "needle"}, "200", base + `/large does not contain "needle"`},
		{manifest.Check{HTTP: base + "/away"}, "", base + "/away: redirected to example.org, which is no service of the stack"},
		{manifest.Check{HTTP: base + "/loop"}, "", base + "/loop: more than 5 redirects"},
		{manifest.Check{HTTP: base + "/nothing"}, "", base + "/nothing: EOF"},
		{manifest.Check{HTTP: "http://gone/"}, "", "http://gone/: no service gone"},
	} {
		hits.Store(0)
		c.check.Name = "page"
		if c.check.Within == 0 {
			c.check.Within = time.Millisecond
		}
		result, err := Check(t.Context(), c.check, probe)
		if c.want == "" && (err != nil || result != c.result) {
			t.Errorf("%s: %q, %v", c.check.HTTP, result, err)
		}
		want := fmt.Sprintf(`check "page" failed for 1ms: %s`, c.want)
		if f := (*Failure)(nil); c.want != "" && (!errors.As(err, &f) || f.Reason != want || result != c.result) {
			t.Errorf("%s: %q\ngot  %v\nwant %s", c.check.HTTP, result, err, want)
		}
	}
}

func TestCheckThatCannotRun(t *testing.T) {
	for _, c := range []struct {
		check manifest.Check
		want  string
	}{
		{manifest.Check{}, `check "x" cannot run: it has neither a URL nor a query`},
		{manifest.Check{SQL: "db"}, `check "x" cannot run: it has neither a URL nor a query`},
		{manifest.Check{HTTP: "http://a/", SQL: "db"}, `check "x" cannot run: it has both a URL and a database`},
		{manifest.Check{HTTP: "file:///etc/passwd"}, `check "x" cannot run: "file:///etc/passwd" is no URL of a service`},
		{manifest.Check{SQL: "db", Query: "q", AtLeast: "many"}, `check "x" cannot run: "many" is no number`},
	} {
		c.check.Name = "x"
		_, err := Check(t.Context(), c.check, Probe{})
		if f := (*Failure)(nil); !errors.As(err, &f) || f.Reason != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

func TestCheckSQL(t *testing.T) {
	for _, c := range []struct {
		value, least, previous string
		want                   string
	}{
		{"12", "", "", ""},
		{"12", "12", "", ""},
		{" 12\n", "previous", "12", ""},
		{"12", "previous", "", ""},
		{"12.5", "12", "", ""},
		{"9007199254740993", "9007199254740993", "", ""},
		{"9007199254740992", "9007199254740993", "", "db answered 9007199254740992, expected at least 9007199254740993"},
		{"11", "previous", "12", "db answered 11, expected at least 12"},
		{"NaN", "1", "", "db answered NaN, expected at least 1"},
		{"NULL", "1", "", `the query answered "NULL", which is no number`},
		{"", "1", "", `the query answered "", which is no number`},
	} {
		synctest.Test(t, func(t *testing.T) {
			result, err := Check(t.Context(), manifest.Check{Name: "rows", SQL: "db", Query: "q", AtLeast: c.least}, Probe{
				Query:    func(context.Context, string, string) (string, error) { return c.value, nil },
				Previous: c.previous,
			})
			if result != strings.TrimSpace(c.value) {
				t.Errorf("result is %q", result)
			}
			if c.want == "" && err != nil {
				t.Errorf("%q against %q: %v", c.value, c.least, err)
			}
			if want := `check "rows" failed for 2m0s: ` + c.want; c.want != "" && (err == nil || err.Error() != want) {
				t.Errorf("%q against %q: %v, want %s", c.value, c.least, err, want)
			}
		})
	}
}

func TestCheckTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		query := func(context.Context, string, string) (string, error) {
			if time.Since(start) < time.Minute {
				return "", errors.New("service db: the database server does not answer")
			}
			return "3", nil
		}
		c := manifest.Check{Name: "rows", SQL: "db", Query: "q", AtLeast: "3"}
		if result, err := Check(t.Context(), c, Probe{Query: query}); err != nil || result != "3" {
			t.Errorf("got %q, %v", result, err)
		}
		start = time.Now()
		c.Within = 30 * time.Second
		_, err := Check(t.Context(), c, Probe{Query: query})
		if err == nil || err.Error() != `check "rows" failed for 30s: service db: the database server does not answer` {
			t.Errorf("got %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := Check(ctx, c, Probe{Query: func(ctx context.Context, _, _ string) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

// TestCheckAgainstSilence asks a server that takes the connection and says nothing.
func TestCheckAgainstSilence(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	address := "http://web:" + fmt.Sprint(l.Addr().(*net.TCPAddr).Port) + "/"
	_, err = Check(t.Context(), manifest.Check{Name: "page", HTTP: address, Within: 10 * time.Millisecond}, Probe{
		Address: func(string) (string, error) { return "127.0.0.1", nil },
	})
	if want := `check "page" failed for 10ms: ` + address + ": no answer in time"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
