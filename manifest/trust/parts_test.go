package trust_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"dhow/manifest"
	"dhow/manifest/manifesttest"
	"dhow/manifest/trust"
)

// large is a fleet whose sites stand in parts.
func large(t *testing.T) *forge {
	f := newForge(t, "drc")
	f.release("1.0.0")
	f.release("1.1.0")
	f.fleet.Rings["pilot"] = manifest.Ring{Pin: "1.0.0"}
	for n := range 1000 {
		f.fleet.Sites[fmt.Sprintf("health-centre-%d", n)] = manifest.Site{Ring: "pilot"}
	}
	return f
}

// asks refreshes for one site and returns the kinds of the documents that it asked for.
func (s *site) asks(files map[string][]byte, name string) string {
	s.t.Helper()
	if err := s.open(trust.Options{Site: name}); err != nil {
		s.t.Fatal(err)
	}
	src := manifesttest.NewSource(files)
	if _, err := s.Refresh(context.Background(), src, false); err != nil {
		s.t.Fatal(err)
	}
	var kinds []string
	for _, path := range src.Asked() {
		base := path[strings.LastIndex(path, "/")+1:]
		_, kind, _ := strings.Cut(base, ".")
		if strings.HasPrefix(path, "targets/sites/") {
			kind = "part"
		}
		kinds = append(kinds, kind)
	}
	return strings.Join(kinds, " ")
}

func (s *site) pin(name string) string {
	s.t.Helper()
	m, err := s.Current()
	if err != nil {
		s.t.Fatal(err)
	}
	a, err := m.Fleet.Assignment(name)
	if err != nil {
		s.t.Fatal(err)
	}
	return a.Pin
}

func TestSiteFetchesItsPartOfALargeFleet(t *testing.T) {
	f := large(t)
	s := newSite(t, f.files["metadata/1.root.json"])
	const name = "health-centre-7"
	for _, step := range []struct {
		what string
		do   func()
		want string
		pin  string
	}{
		{"first", func() {}, "json root.json snapshot.json targets.json fleet.json.zst sites.json.zst part", "1.0.0"},
		{"ring", func() { f.fleet.Rings["pilot"] = manifest.Ring{Pin: "1.1.0"} }, "json snapshot.json targets.json fleet.json.zst", "1.1.0"},
		{"itself", func() { f.fleet.Sites[name] = manifest.Site{Ring: "pilot", Pin: "1.0.0"} }, "json snapshot.json targets.json sites.json.zst part", "1.0.0"},
		{"release", func() { f.release("1.2.0") }, "json snapshot.json targets.json", "1.0.0"},
	} {
		step.do()
		got := s.asks(f.next(), name)
		if strings.ReplaceAll(got, "root.json ", "") != strings.ReplaceAll(step.want, "root.json ", "") {
			t.Errorf("%s: asked %s, want %s", step.what, got, step.want)
		}
		s.reopen() // without a name, as other commands do
		if pin := s.pin(name); pin != step.pin {
			t.Errorf("%s: pin %s, want %s", step.what, pin, step.pin)
		}
	}
	// Another name for this computer: what is here does not do.
	files := f.publish()
	if err := s.open(trust.Options{Site: "health-centre-8"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Current(); !errors.Is(err, trust.ErrNothing) {
		t.Errorf("error %v", err)
	}
	if got := s.asks(files, "health-centre-8"); !strings.HasSuffix(got, " part") {
		t.Errorf("asked %s", got)
	}
	if pin := s.pin("health-centre-8"); pin != "1.1.0" {
		t.Errorf("pin %s", pin)
	}
	// Without any name everything counts.
	whole := newSite(t, f.files["metadata/1.root.json"])
	if m := whole.must(files, true); len(m.Fleet.Sites) != len(f.fleet.Sites) {
		t.Errorf("%d sites", len(m.Fleet.Sites))
	}
}

func TestPartsThatAreWrong(t *testing.T) {
	f := large(t)
	files := f.next()
	for path := range files {
		if !strings.HasPrefix(path, "targets/sites/") {
			continue
		}
		for want, data := range map[string][]byte{
			"the source is incomplete (damaged): it has no " + path + ": ": nil,
			path + " is damaged: longer than ":                             append([]byte("x"), files[path]...),
			path + " is damaged: it is not what the fleet signed":          make([]byte, len(files[path])),
		} {
			for _, offline := range []bool{false, true} {
				s := newSite(t, f.files["metadata/1.root.json"])
				err := s.fails(with(files, map[string][]byte{path: data}), offline)
				if !errors.Is(err, trust.ErrDamaged) || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %s", err, want)
				}
				if n := s.number(); n != 0 {
					t.Errorf("manifest %d was accepted", n)
				}
			}
		}
	}
}
