//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dhow/agent/api"
	"dhow/agent/site"
)

// Secure is the registry behind TLS, with a certificate of a private authority that is good for this month.
type Secure struct {
	*httptest.Server
	authority string // file
	asked     atomic.Int64
}

func newSecure(t *testing.T) *Secure {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "dhow-e2e"}, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(5, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: now.AddDate(0, 0, -10), NotAfter: now.AddDate(0, 0, 20), DNSNames: []string{"localhost"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	s := &Secure{authority: filepath.Join(t.TempDir(), "ca.pem")}
	write(t, s.authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}))
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: world.registry})
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		proxy.ServeHTTP(w, r)
	}))
	s.Config.ErrorLog = proxy.ErrorLog
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leafDER}, PrivateKey: key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// source is a repository of the registry, by way of TLS.
func (s *Secure) source(fleet string) string {
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	return "oci://localhost:" + port + "/" + fleet
}

// setClock makes the site's clock say a time. The agent sees it at once.
func (s *Site) setClock(says time.Time) {
	s.t.Helper()
	text := fmt.Sprintln(says.Unix() - time.Now().Unix())
	path := filepath.Join(s.prefix, "clock")
	err := os.WriteFile(path+".new", []byte(text), 0o600)
	if err == nil {
		err = os.Rename(path+".new", path) // half a file is no clock
	}
	if err != nil {
		s.t.Error(err)
	}
}

const wrongClock = "this computer's clock looks wrong: it says 1970-01-01, but it is at least "

// TestWrongClock gives a site every sort of clock: it is updated over TLS and from sticks where that is safe, says what it thinks of its clock, and
// forgets nothing that it has seen.
func TestWrongClock(t *testing.T) {
	t.Parallel()
	centre := newCentre(t, ledgerStack)
	for version, tag := range map[string]string{"1.0.0": "1.0.0", "1.0.1": "1.0.0", "1.1.0": "1.1.0", "1.2.0": "1.2.0"} {
		centre.release(t, version, tag)
	}
	secure, sticks := newSecure(t), t.TempDir()
	at := "oci://" + world.registry + "/dhow-e2e-clock"
	s := newSite(t, centre, "clock")
	s.programs = map[string]string{"1.0.1": "1.0.0"}
	s.env = []string{"DHOW_FAULT_CLOCK=" + filepath.Join(s.prefix, "clock"), "SSL_CERT_FILE=" + secure.authority}
	dead := time.Unix(9*3600, 0)
	s.setClock(dead)
	centre.pin(t, s.name, "1.0.0", at)

	step(t, "1970: a first update over TLS")
	s.install(secure.source("dhow-e2e-clock"))
	s.must("update", "--now")
	s.sane("1.0.0")
	if secure.asked.Load() == 0 {
		t.Fatal("nothing came over TLS")
	}
	s.post("/entries", "typed on 1.0.0")
	old := filepath.Join(sticks, "old.tgz")
	centre.must(t, "bundle", "create", "--release", "1.0.0", "-o", old)

	step(t, "1970: the next one, over TLS; then a person asks")
	centre.pin(t, s.name, "1.0.1", at)
	mentions(t, s.must("update"), "while this computer's clock is wrong nobody can tell the hour")
	s.must("update", "--now")
	s.sane("1.0.1")
	r := s.must("status") // said once, first, with what to do; the JSON has the warning as well
	if !strings.HasPrefix(r.Text(), "The clock of this computer is wrong: it says 1970-01-01 ") || strings.Contains(r.Text(), wrongClock) {
		t.Errorf("status says:\n%s", r)
	}
	mentions(t, r, "Set the date and the time of this computer.")
	if w := s.status().Warnings; !slices.ContainsFunc(w, func(w string) bool { return strings.HasPrefix(w, wrongClock) }) {
		t.Errorf("warnings %q", w)
	}
	mentions(t, s.expect(api.CodeUnwell, "doctor"), "✗ clock      "+wrongClock)
	today := time.Now().Add(-24 * time.Hour)
	for _, u := range s.history() {
		if u.Started.Before(today) || u.Finished.Before(u.Started) || u.DowntimeSeconds > 300 {
			t.Errorf("history: %+v", u)
		}
	}

	jumps := []time.Time{dead, time.Now().AddDate(30, 0, 0), time.Now(), time.Unix(1<<32, 0)}
	bundle := func(version string) string {
		centre.pin(t, s.name, version, at)
		stick := filepath.Join(sticks, version+".tgz")
		centre.must(t, "bundle", "create", "--release", version, "-o", stick)
		return stick
	}

	step(t, "jumps of years all the time, and a release from a stick that does not work")
	before, stop := s.ledger(), s.jump(jumps...)
	r = s.expect(api.CodeRolledBack, "update", "--from", bundle("1.2.0"), "--now")
	mentions(t, r, "1.0.1 is running as before and no data was lost")
	if n := stop(); n < 10 {
		t.Errorf("the clock was set %d times only", n)
	}
	s.setClock(time.Now())
	s.sane("1.0.1")
	before.same(t, s.ledger(), "entries after going back")

	step(t, "jumps of years all the time, and one that does")
	stick := bundle("1.1.0")
	stop = s.jump(jumps...)
	w := s.watch()
	s.must("update", "--from", stick, "--now")
	w.only("1.0.0", "1.1.0", switching)
	if n := stop(); n < 10 {
		t.Errorf("the clock was set %d times only", n)
	}
	s.setClock(time.Now())
	s.sane("1.1.0")
	before.after("1.1.0").same(t, s.ledger(), "entries after the update")
	if u := s.last(); u.Result != api.ResultDone || u.DowntimeSeconds > 300 || u.DowntimeSeconds <= 0 {
		t.Errorf("history: %+v", u)
	}
	if r := s.must("status"); strings.Contains(r.Text(), "this computer's clock") || strings.Contains(r.Text(), "clock of this computer") || strings.Contains(r.Text(), "2106") {
		t.Errorf("the clock is right again:\n%s", r)
	}

	step(t, "a year ahead: it says so and stays")
	s.setClock(time.Now().AddDate(1, 0, 0))
	ahead := time.Now().AddDate(1, 0, 0).Format("2006-01")
	mentions(t, s.expect(api.CodeUnreachable, "update"), "the server's certificate is good from", "by this computer's clock it is "+ahead, "is the clock right?")
	s.configure(func(c *site.Config) { c.Sources = []string{at} })
	mentions(t, s.expect(api.CodeNotTrusted, "update"), "the manifest expired on", "by this computer's clock it is "+ahead, "if the clock is ahead, set it")
	mentions(t, s.expect(api.CodeUnwell, "doctor"), "! clock      this computer's clock looks wrong: it says "+ahead, "✗ manifest   the manifest expired on")
	mentions(t, s.must("update", "--from", stick), "1.1.0 is running")
	s.sane("1.1.0")

	step(t, "1970, and the disk has lost what the site trusts")
	s.setClock(dead)
	s.stop()
	trusted := site.Paths{Prefix: s.prefix}.Trust()
	for _, slot := range []string{"state-0", "state-1"} {
		write(t, filepath.Join(trusted, slot), []byte("dhow-trust 1 7 0000 3\nabc"))
	}
	s.start()
	lost := "the signed manifest was lost from this disk"
	if st := s.status(); !slices.ContainsFunc(st.Warnings, func(w string) bool { return strings.HasPrefix(w, lost) }) || !slices.ContainsFunc(st.Warnings,
		func(w string) bool { return strings.HasPrefix(w, wrongClock) }) {
		t.Errorf("warnings %q", st.Warnings)
	}
	mentions(t, s.expect(api.CodeNotTrusted, "update", "--from", old), "older than what this site has already seen")
	s.sane("1.1.0")
	mentions(t, s.must("update", "--from", stick), "1.1.0 is running")
	if r := s.must("status"); strings.Contains(r.Text(), lost) {
		t.Errorf("the manifest is here again:\n%s", r)
	}
}

// jump sets the clock to one time after another, all the time. What it returns ends that and says how often the clock was set.
func (s *Site) jump(to ...time.Time) (stop func() int) {
	done, ended := make(chan struct{}), make(chan int)
	go func() {
		tick := time.NewTicker(150 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-done:
				ended <- n
				return
			case <-tick.C:
				s.setClock(to[n%len(to)])
			}
		}
	}()
	stop = sync.OnceValue(func() int {
		close(done)
		return <-ended
	})
	s.t.Cleanup(func() { stop() })
	return stop
}
