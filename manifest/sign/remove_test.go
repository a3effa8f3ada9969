package sign_test

import (
	"errors"
	"testing"

	"dhow/manifest/sign"
)

func TestRemoveRelease(t *testing.T) {
	f := fleet(t)
	f.AddRelease("1.2.0", nil)
	for version, want := range map[string]string{
		"1.0.0": "cannot remove release 1.0.0: it can't be removed: ring pilot is pinned to it",
		"9.0.0": "no such release: 9.0.0 (there is 1.0.0, 1.1.0, 1.2.0)",
	} {
		if err := f.RemoveRelease(version); err == nil || err.Error() != want {
			t.Errorf("\n got %v\nwant %s", err, want)
		}
	}
	must(t, f.Fleet().PinSite("kin-001", "1.2.0"))
	must(t, f.SaveFleet())
	want := "cannot remove release 1.2.0: it can't be removed: site kin-001 is pinned to it"
	if err := f.RemoveRelease("1.2.0"); err == nil || err.Error() != want {
		t.Errorf("\n got %v\nwant %s", err, want)
	}
	must(t, f.Fleet().PinSite("kin-001", ""))
	must(t, f.SaveFleet())
	must(t, f.RemoveRelease("1.2"))
	f.Publish()
	want = "cannot remove release 1.1.0: it can't be removed: it was signed in manifest 1, and sites may run it"
	if err := f.RemoveRelease("1.1.0"); !errors.Is(err, sign.ErrInUse) || err.Error() != want {
		t.Errorf("\n got %v\nwant %s", err, want)
	}
	if known, err := f.Releases(); err != nil || len(known) != 2 {
		t.Errorf("left: %v, %v", known, err)
	}
}
