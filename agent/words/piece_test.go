package words

import (
	"strings"
	"testing"
)

func TestPhones(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "",
		"Whom to call: the central team":         "Whom to call: the central team",
		"Dr. Kalala, +243 81 555 0142":           "Dr. Kalala, |+243 81 555 0142=+243815550142",
		"\u2068+243 (81) 555-0142\u2069.":        "\u2068|+243 (81) 555-0142=+243815550142|\u2069.",
		"0815550142 / 099 123 4567, 08:00-16:00": "|0815550142=0815550142| / |099 123 4567=0991234567|, 08:00-16:00",
		"01.23.45.67.89":                         "|01.23.45.67.89=0123456789",
		"room 12, 08.00-16.00":                   "room 12, 08.00-16.00",
		"ward 123 456":                           "ward 123 456",
		strings.Repeat("1", 16):                  strings.Repeat("1", 16),
	} {
		got := ""
		for i, p := range Phones(text) {
			if p.Call != "" {
				got += "|" + p.Text + "=" + p.Call
			} else if i > 0 {
				got += "|" + p.Text
			} else {
				got += p.Text
			}
		}
		if got != want {
			t.Errorf("%q is cut into %q, want %q", text, got, want)
		}
	}
	if got := Whole("Code: KIN-001-R.", "KIN-001-R"); len(got) != 3 || got[1] != (Piece{Text: "KIN-001-R", Whole: true}) || got[2].Text != "." {
		t.Errorf("%+v", got)
	}
}
