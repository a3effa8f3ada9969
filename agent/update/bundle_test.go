package update

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"dhow/manifest"
)

func TestNotFor(t *testing.T) {
	fleet := &manifest.Fleet{
		Rings: map[string]manifest.Ring{"pilot": {Pin: "1.1.0"}, "wave1": {Pin: "1.0.0"}, "empty": {}},
		Sites: map[string]manifest.Site{"kin-001": {Ring: "pilot"}, "kin-002": {Ring: "pilot", Pin: "1.2.0"}, "kin-003": {Ring: "wave1", Pin: "1.1.0"}},
	}
	want := []string{"it is not for ring wave1, which is pinned to 1.0.0", "it is not for site kin-002, which is pinned to 1.2.0"}
	if got := notFor(fleet, []string{"1.1.0"}); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := notFor(fleet, []string{"1.0.0", "1.1.0", "1.2.0"}); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

func TestBundlePath(t *testing.T) {
	dir := t.TempDir()
	stick, empty, old := filepath.Join(dir, "stick"), filepath.Join(dir, "empty"), filepath.Join(dir, "old")
	for _, d := range []string{stick, empty, filepath.Join(old, "metadata")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(stick, "photo.jpg"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	slash := string(filepath.Separator)
	for to, want := range map[string]string{
		filepath.Join(dir, "a.tgz"): filepath.Join(dir, "a.tgz"),
		filepath.Join(dir, "new"):   filepath.Join(dir, "new"),
		stick:                       filepath.Join(stick, "emr-1.1.0.tar"),
		stick + slash:               filepath.Join(stick, "emr-1.1.0.tar"),
		empty:                       filepath.Join(empty, "emr-1.1.0.tar"), // a new stick
		empty + slash:               empty,
		old:                         old,
	} {
		if got := bundlePath(to, "emr", []string{"1.0.0", "1.1.0"}); got != want {
			t.Errorf("%s: %s, want %s", to, got, want)
		}
	}
}
