package manifest

import (
	"errors"
	"testing"
)

func TestParsePin(t *testing.T) {
	for text, want := range map[string][2]string{
		"1.2.0": {"1.2.0", ""}, "v1.2": {"1.2.0", ""}, "2.0.0-rc.1": {"2.0.0-rc.1", ""},
		"1.2.x": {"", "1.2.x"}, "1.X": {"", "1.x"}, "v0.x": {"", "0.x"}, "previous": {"", "previous"},
	} {
		if exact, asked, err := ParsePin(text); err != nil || exact != want[0] || asked != want[1] {
			t.Errorf("%s: %q, %q, %v", text, exact, asked, err)
		}
	}
	for _, text := range []string{"", "x", "1", "x.x", "1.x.x", "1.2.3.x", "1.*", "01.x", "newest", "Previous", "1.2.x "} {
		exact, asked, err := ParsePin(text)
		if text == "1" { // a short version
			if err != nil || exact != "1.0.0" {
				t.Errorf("%q: %q, %v", text, exact, err)
			}
			continue
		}
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %q, %q, %v", text, exact, asked, err)
		}
	}
	_, _, err := ParsePin("newest")
	if want := `pin "newest": not valid: write a version such as 1.2.0, a line such as 1.2.x, or previous`; err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestNewest(t *testing.T) {
	versions := []string{"0.9.0", "1.0.0", "1.2.0", "1.2.9", "1.2.10", "1.2.11-rc.1", "1.20.0", "2.0.0-beta"}
	for line, want := range map[string]string{"1.2.x": "1.2.10", "1.x": "1.20.0", "2.x": "", "0.9.x": "0.9.0", "3.x": "", "1.0.0": ""} {
		if got := Newest(line, versions); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

func TestAmounts(t *testing.T) {
	for text, want := range map[string]int64{"64 kB/s": 64_000, "1.5MB/s": 1_500_000, "512 kbit/s": 64_000, " 2 Mbit/s ": 250_000} {
		if got, err := ParseRate(text); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "64", "64 kB", "0 kB/s", "-1 MB/s", "NaN MB/s", "Inf MB/s", "1e99 MB/s", "0.5 kB/s", "fast"} {
		if got, err := ParseRate(text); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
	for text, want := range map[string]int64{"20 GB": 20e9, "0.5TB": 5e11, "500 mb": 5e8} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "20", "20 kB", "-1 GB", "NaN GB", "1e30 TB"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
}
