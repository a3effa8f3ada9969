//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Ledger is the content of the ledger's entries by file name.
type Ledger map[string]string

// ledger reads the entries from the volume.
func (s *Site) ledger() Ledger {
	s.t.Helper()
	dir := s.volume("ledger-data")
	list, err := filepath.Glob(filepath.Join(dir, "*.entry"))
	if err != nil || len(list) == 0 {
		s.t.Fatalf("no entries in %s (%v)", dir, err)
	}
	l := Ledger{}
	for _, path := range list {
		text, err := os.ReadFile(path)
		if err != nil {
			s.t.Fatal(err)
		}
		l[filepath.Base(path)] = string(text)
	}
	return l
}

// after says what a release makes of the entries when it first starts.
func (l Ledger) after(release string) Ledger {
	out := Ledger{}
	for name, text := range l {
		out[name] = fmt.Sprintf("%s of %s", text, release)
	}
	return out
}

func (l Ledger) same(t testing.TB, other Ledger, what string) {
	t.Helper()
	if diff := l.differs(other); diff != "" {
		t.Errorf("%s: %s", what, diff)
	}
}

// differs names the first entries that are not the same, or nothing.
func (l Ledger) differs(other Ledger) string {
	var diff []string
	for name, text := range l {
		if got, found := other[name]; !found {
			diff = append(diff, name+" is gone")
		} else if got != text {
			diff = append(diff, fmt.Sprintf("%s was %.60q, is %.60q", name, text, got))
		}
	}
	for name := range other {
		if _, found := l[name]; !found {
			diff = append(diff, name+" is new")
		}
	}
	return strings.Join(diff[:min(5, len(diff))], "; ")
}
