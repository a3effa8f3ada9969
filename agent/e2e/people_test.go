//go:build e2e

package e2e

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dhow/agent/site"
)

// hooked makes a site run a hook, and returns what that was told of updates, but for "ready": one that a person orders may begin before anybody could be told.
func (s *Site) hooked() (told func() []string) {
	s.t.Helper()
	out := filepath.Join(s.prefix, "told")
	hook := filepath.Join(s.prefix, "tell")
	script := `#!/bin/sh
echo "$DHOW_EVENT $DHOW_FROM $DHOW_TO $DHOW_RECEIPT $DHOW_REASON_KIND" | sed 's/ *$//' >>` + out + "\n"
	if err := os.WriteFile(hook, []byte(script), 0o755); err != nil {
		s.t.Fatal(err)
	}
	s.configure(func(c *site.Config) { c.Hook = []string{hook} })
	return func() []string {
		data, err := os.ReadFile(out)
		if err != nil && !os.IsNotExist(err) {
			s.t.Fatal(err)
		}
		return slices.DeleteFunc(strings.Split(strings.TrimSpace(string(data)), "\n"), func(l string) bool {
			return strings.HasPrefix(l, "ready ") || strings.HasPrefix(l, "needs-you ")
		})
	}
}

// overTheNetwork opens the page of a site over the network of the engine's bridge: without the PIN there is the sentence only, without TLS nothing.
func overTheNetwork(t *testing.T, s *Site) {
	t.Helper()
	bridge, err := net.InterfaceByName("docker0")
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := bridge.Addrs()
	if err != nil || len(addrs) == 0 {
		t.Fatalf("docker0 has no address: %v", err)
	}
	port := freePort(t)
	lan := net.JoinHostPort(addrs[0].(*net.IPNet).IP.String(), fmt.Sprint(port))
	here := fmt.Sprintf("http://127.0.0.1:%d", port)
	s.configure(func(c *site.Config) { c.Page.Listen, c.Metrics = lan, "true" })
	poll(t, 30*time.Second, "a warning that there is no PIN", func() (bool, string) {
		w := s.status().Warnings
		return slices.Contains(w, "the page is not open to the network: no PIN is set; set one with: sudo dhow page pin"), fmt.Sprint(w)
	})
	if c, err := net.Dial("tcp", lan); err == nil {
		_ = c.Close()
		t.Error("the page is open to the network without a PIN")
	}
	pin := command(t, s.prefix, s.env, "/bin/sh", "-c", fmt.Sprintf("echo 314159 | %s --prefix %s page pin", world.dhow, s.prefix))
	if pin.Code != 0 {
		t.Fatal(pin)
	}
	var shown string
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, VerifyConnection: func(c tls.ConnectionState) error {
			shown = strings.ReplaceAll(fmt.Sprintf("% X", sha256.Sum256(c.PeerCertificates[0].Raw)), " ", ":")
			return nil
		},
	}}}
	ask := func(to string, form url.Values) (int, string) {
		var resp *http.Response
		var err error
		if form == nil {
			resp, err = client.Get(to)
		} else {
			var req *http.Request
			if req, err = http.NewRequest(http.MethodPost, to, strings.NewReader(form.Encode())); err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("Sec-Fetch-Site", "same-origin")
			resp, err = client.Do(req)
		}
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
			t.Errorf("%s: the policy is %q", to, csp)
		}
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(data)
	}
	poll(t, 30*time.Second, "the page on the network", func() (bool, string) {
		status, body := ask("https://"+lan+"/", nil)
		return status == http.StatusOK, body
	})
	receipt := s.last().Receipt
	status, body := ask("https://"+lan+"/", nil)
	if !strings.Contains(body, "1.0.0") || !strings.Contains(body, `name="pin"`) && !strings.Contains(body, "ask=") || strings.Contains(body, `id="history"`) {
		t.Errorf("without the PIN the network sees %d\n%s", status, body)
	}
	if status, body := ask("https://"+lan+"/details", url.Values{}); status != http.StatusForbidden || strings.Contains(body, receipt) {
		t.Errorf("details without the PIN: %d\n%s", status, body)
	}
	if status, body := ask("https://"+lan+"/details", url.Values{"pin": {"314159"}}); status != http.StatusOK || !strings.Contains(body, receipt) {
		t.Errorf("details with the PIN: %d\n%s", status, body)
	}
	if status, _ := ask("https://"+lan+"/metrics", nil); status != http.StatusNotFound {
		t.Errorf("metrics on the network: %d", status)
	}
	if status, body := ask(here+"/metrics", nil); status != http.StatusOK || !strings.Contains(body, "dhow_release_info{release=\"1.0.0\"} 1\n") ||
		!strings.Contains(body, "dhow_last_update_success 1\n") {
		t.Errorf("metrics: %d\n%s", status, body)
	}
	if status, body := ask(here+"/", nil); status != http.StatusOK || !strings.Contains(body, receipt) {
		t.Errorf("the page here: %d\n%s", status, body)
	}
	mentions(t, s.must("page"), "The page is at "+here, "https://"+lan, shown, "A PIN is set.")
	if w := s.status().Warnings; len(w) > 0 {
		t.Errorf("it warns: %q", w)
	}
}
