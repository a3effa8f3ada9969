package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// plainPIN stands in for the hash, so that a thousand tries take no time.
type plainPIN struct {
	right string
	asked *int
}

func (p plainPIN) is(pin string) bool { *p.asked++; return pin == p.right }

// gatehouse is what judges PINs, with a clock that a test sets.
type gatehouse struct {
	*pins
	dir   string
	now   time.Duration
	asked int
	log   *shout
}

func newGatehouse(t *testing.T) *gatehouse {
	t.Helper()
	g := &gatehouse{dir: t.TempDir(), log: &shout{}}
	g.restart()
	return g
}

// restart is what a reboot does: the clock that nobody can set begins anew.
func (g *gatehouse) restart() {
	g.now = 0
	g.pins = newPINs(g.dir, func() time.Duration { return g.now }, slog.New(slog.NewTextHandler(g.log, nil)))
	g.read = func(string) (interface{ is(string) bool }, string, error) {
		return plainPIN{rightPIN, &g.asked}, "one", nil
	}
}

var (
	nurse    = netip.MustParseAddr("192.168.1.20")
	stranger = netip.MustParseAddr("192.168.1.66")
)

// give tries a PIN and says what came of it: right, wrong, or how long to wait.
func (g *gatehouse) give(t *testing.T, from netip.Addr, pin string) string {
	t.Helper()
	wait, err := g.try(context.Background(), from, pin)
	switch {
	case err == nil:
		return "right"
	case errors.Is(err, errWrong):
		return "wrong"
	case errors.Is(err, errWait):
		return wait.String()
	}
	t.Fatal(err)
	return ""
}

func TestDelayGrows(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	for i, want := range []string{"wrong", "wrong", "wrong", "wrong", "2s", "wrong", "4s", "wrong", "8s", "wrong", "16s"} {
		if got := g.give(t, stranger, "000000"); got != want {
			t.Fatalf("try %d: %s, want %s", i, got, want)
		}
		if strings.HasSuffix(want, "s") {
			d, err := time.ParseDuration(want)
			if err != nil {
				t.Fatal(err)
			}
			g.now += d - time.Nanosecond
			if got := g.give(t, stranger, rightPIN); got != "1ns" {
				t.Fatalf("too early, with the right PIN: %s", got)
			}
			g.now += time.Nanosecond
		}
	}
	if got := g.give(t, nurse, rightPIN); got != "right" {
		t.Errorf("somebody else: %s", got)
	}
}

// TestThousandWrongPINs: guessing without end is slow, fills neither disk nor log, and locks out nobody who was in before.
func TestThousandWrongPINs(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	if got := g.give(t, nurse, rightPIN); got != "right" {
		t.Fatal(got)
	}
	g.asked = 0
	for i := range 1000 {
		g.give(t, stranger, fmt.Sprintf("%06d", i))
	}
	if g.asked > freeOfOne+1 {
		t.Errorf("%d of a thousand PINs at once were looked at", g.asked)
	}
	// A thousand strangers, each with an address of his own.
	for i := range 1000 {
		g.give(t, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), fmt.Sprintf("%06d", i))
	}
	if g.asked > freeOfAll+1 {
		t.Errorf("%d PINs of two thousand at once were looked at", g.asked)
	}
	// And a patient one, for ten days.
	before := g.asked
	for range 10 * 24 * 60 {
		g.give(t, stranger, "000000")
		g.now += time.Minute
	}
	if n := g.asked - before; n < 100 || n > 10*24*6 {
		t.Errorf("%d PINs were looked at in ten days", n)
	}
	if got := g.give(t, nurse, rightPIN); got != "right" {
		t.Errorf("who was in before is told to wait %s", got)
	}
	info, err := os.Stat(filepath.Join(g.dir, triesFile))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(g.dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 4<<10 || len(entries) != 1 {
		t.Errorf("%d bytes, and %d files", info.Size(), len(entries))
	}
	if lines := strings.Count(g.log.String(), "\n"); lines > g.asked {
		t.Errorf("%d lines in the log for %d tries", lines, g.asked)
	}
	if strings.Contains(g.log.String(), "000000") {
		t.Error("the log holds what was tried")
	}
}

// TestFewLinesInTheLog: tries that are not looked at are not told.
func TestFewLinesInTheLog(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	for range 1000 {
		g.give(t, stranger, "000000")
	}
	if lines := strings.Count(g.log.String(), "\n"); lines != freeOfOne+1 {
		t.Errorf("%d lines:\n%s", lines, g.log.String())
	}
}

// TestDelayHoldsOverRestarts: the power switch is no way around it, nor does it lock for ever.
func TestDelayHoldsOverRestarts(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	for range 40 {
		g.give(t, stranger, "000000")
		g.now += maxDelay
	}
	asked := g.asked
	for range 50 {
		g.restart()
		if got := g.give(t, stranger, rightPIN); got != "15m0s" {
			t.Fatalf("after a restart: %s", got)
		}
	}
	if g.asked != asked {
		t.Errorf("%d PINs were looked at in 50 restarts", g.asked-asked)
	}
	g.now += maxDelay
	if got := g.give(t, stranger, rightPIN); got != "right" {
		t.Errorf("after the delay: %s", got)
	}
	g.restart()
	if got := g.give(t, stranger, rightPIN); got != "right" {
		t.Errorf("who has given the right PIN has to wait %s after a restart", got)
	}
}

// TestFreeTriesAreNotRenewed: three wrong ones and a restart, again and again, is guessing too.
func TestFreeTriesAreNotRenewed(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	for range 100 {
		for range freeOfOne {
			g.give(t, stranger, "000000")
		}
		g.restart()
	}
	if g.asked > freeOfOne+1 {
		t.Errorf("%d PINs were looked at", g.asked)
	}
}

// TestWrongPINsAreForgotten while nobody sends more.
func TestWrongPINsAreForgotten(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	for range 100 {
		g.give(t, stranger, "000000")
		g.now += maxDelay
	}
	g.now += time.Duration(freeOfAll+steps) * forgetAfter
	for i := range freeOfOne + 1 {
		if got := g.give(t, stranger, "000000"); got != "wrong" {
			t.Fatalf("try %d after a night: %s", i, got)
		}
	}
}

// TestProofEnds: an address that a stranger takes over is no way in.
func TestProofEnds(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	g.give(t, nurse, rightPIN)
	for i := range freeOfAll {
		g.give(t, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), "000000")
	}
	for range proofEnds {
		if got := g.give(t, nurse, "000000"); got != "wrong" {
			t.Fatal(got)
		}
		g.now += 4 * time.Second
	}
	g.give(t, stranger, "000000")
	if got := g.give(t, nurse, rightPIN); got == "right" || got == "wrong" {
		t.Errorf("after %d wrong PINs it is as if nothing had been: %s", proofEnds, got)
	}
}

// TestPowerCutInATry: what was begun counts, whatever happens then.
func TestPowerCutInATry(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	cut := errors.New("cut")
	for range 10 {
		g.read = func(string) (interface{ is(string) bool }, string, error) { return cutPIN{cut}, "one", nil }
		func() {
			defer func() {
				if r := recover(); r != nil && r != any(cut) {
					panic(r)
				}
			}()
			_, _ = g.try(context.Background(), stranger, "000000")
		}()
		g.restart()
	}
	if got := g.give(t, stranger, rightPIN); got != "2s" {
		t.Errorf("after ten tries that a power cut ended: %s", got)
	}
}

type cutPIN struct{ err error }

func (c cutPIN) is(string) bool { panic(c.err) }

// TestDamagedTries: a file that can't be read frees nobody, and locks for the longest delay only.
func TestDamagedTries(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "{", "null garbage", `{"format":2}`, `{"format":1,"failures":-5,"by":{"x":1}}`, strings.Repeat("x", 100<<10), `{"format":1,"what":1}`,
	} {
		g := newGatehouse(t)
		if err := os.WriteFile(filepath.Join(g.dir, triesFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		g.restart()
		if got := g.give(t, stranger, rightPIN); got != "15m0s" {
			t.Errorf("%.20q: %s", text, got)
		}
		g.now += maxDelay
		if got := g.give(t, stranger, rightPIN); got != "right" {
			t.Errorf("%.20q: after the delay %s", text, got)
		}
		if !strings.Contains(g.log.String(), "cannot read what was tried, so a PIN has to wait") {
			t.Errorf("%.20q: the log says %q", text, g.log.String())
		}
		g.restart()
		if got := g.give(t, stranger, rightPIN); got != "right" {
			t.Errorf("%.20q: the file stays damaged: %s", text, got)
		}
	}
}

// TestTriesThatCannotBeKept: where nothing can be written no PIN is tried.
func TestTriesThatCannotBeKept(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	g.tries.path = filepath.Join(g.dir, "gone", triesFile)
	if _, err := g.try(context.Background(), stranger, rightPIN); err == nil || !strings.HasPrefix(err.Error(), "cannot keep that a PIN was tried: ") {
		t.Errorf("it says %v", err)
	}
	if g.asked != 0 {
		t.Error("the PIN was looked at")
	}
}

func TestNewPINForgets(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	for range 10 {
		g.give(t, stranger, "000000")
	}
	g.read = func(string) (interface{ is(string) bool }, string, error) {
		return plainPIN{"271828", &g.asked}, "two", nil
	}
	if got := g.give(t, stranger, "271828"); got != "right" {
		t.Errorf("after a new PIN: %s", got)
	}
}

func TestPINs(t *testing.T) {
	t.Parallel()
	for pin, want := range map[string]string{
		"314159": "", "3141 59": "", "31-41-59": "", "٣١٤١٥٩": "", "۳۱۴۱۵۹": "", strings.Repeat("3141", 8): "",
		"": PINShort, "31415": PINShort, "31 41 5": PINShort, "٣١٤١٥": PINShort,
		"31415a": PINDigits, "３１４１５x": PINDigits, strings.Repeat("3141", 8) + "5": PINDigits, "-31415.9": PINDigits,
		"000000": PINSimple, "123456": PINSimple, "654321": PINSimple, "890123": PINSimple, "٠٠٠٠٠٠": PINSimple,
	} {
		dir := filepath.Join(t.TempDir(), "page")
		err := SetPIN(dir, pin)
		var e *ErrPIN
		kind := ""
		if errors.As(err, &e) {
			kind = e.Kind
		} else if err != nil {
			t.Fatal(err)
		}
		if kind != want {
			t.Errorf("%q: %v, want kind %q", pin, err, want)
		}
		if set, err := HasPIN(dir); err != nil || set != (want == "") {
			t.Errorf("%q: set %v, %v", pin, set, err)
		}
		if err != nil {
			continue
		}
		info, err := os.Stat(filepath.Join(dir, pinFile))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%q: mode %v, %v", pin, info.Mode(), err)
		}
		data, err := os.ReadFile(filepath.Join(dir, pinFile))
		if err != nil || !strings.HasPrefix(string(data), "$argon2id$v=19$m=19456,t=2,p=1$") || strings.Contains(string(data), "3141") {
			t.Errorf("%q: it keeps %s", pin, data)
		}
		p, _, err := readPIN(dir)
		if err != nil || !p.is(digits(pin)) || p.is(digits(pin)+"0") || p.is("") {
			t.Errorf("%q: read back wrongly: %v", pin, err)
		}
	}
}

func TestDamagedPIN(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, pinFile)
	if err := os.WriteFile(path, []byte("$argon2id$v=19$m=9999999,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAA\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := path + " is damaged: set the PIN again with: dhow page pin"
	if _, err := HasPIN(dir); err == nil || err.Error() != want {
		t.Errorf("it says %v, want %s", err, want)
	}
}

func FuzzParseHashed(f *testing.F) {
	f.Add(hashed{memory: argonMemory, time: argonTime, salt: make([]byte, 16), hash: make([]byte, hashSize)}.String())
	f.Add("$argon2id$v=19$m=4294967295,t=2,p=1$AAAA$AAAA")
	f.Add("$argon2id$v=19$m=19456,t=0,p=1$$")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseHashed(text)
		if err == nil && (p.memory > maxMemory || p.time > maxTime || p.time < 1 || len(p.hash) != hashSize || p.String() != strings.TrimSuffix(text, "\n")) {
			t.Errorf("%q is taken as %+v", text, p)
		}
	})
}

func FuzzTries(f *testing.F) {
	f.Add(`{"format":1,"pin":"one","failures":3,"by":{"10.0.0.1":2},"proved":["10.0.0.2"]}`)
	f.Add(`{"format":1,"failures":-3,"by":{"::":-2}}`)
	f.Fuzz(func(t *testing.T, text string) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, triesFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		tr, _ := openTries(dir, func() time.Duration { return 0 })
		if d := tr.wait(stranger); d < 0 || d > maxDelay {
			t.Errorf("%q: wait %v", text, d)
		}
		if err := tr.count(stranger); err != nil {
			t.Error(err)
		}
		if _, err := openTries(dir, func() time.Duration { return 0 }); err != nil {
			t.Errorf("what was written can't be read: %v", err)
		}
	})
}
