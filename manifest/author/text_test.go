package author

import (
	"slices"
	"testing"

	"github.com/compose-spec/compose-go/v2/template"
)

func TestNames(t *testing.T) {
	for text, want := range map[string][]string{
		"":                              nil,
		"plain":                         nil,
		"$":                             nil,
		"${}":                           nil,
		"${A":                           nil,
		"$A":                            {"A"},
		"${A}":                          {"A"},
		"x$A.y":                         {"A"},
		"$$A ${B} $$$C":                 {"B", "C"},
		"${A:-x}${B-y}${C:?z}${D?w}":    {"A", "B", "C", "D"},
		"${A:-${B:-${C}}}/${D}":         {"A", "B", "C", "D"},
		"${A:+${B}}":                    {"A", "B"},
		"${A:?say ${B}}":                {"A"}, // the message is read when it fails only
		"127.0.0.1:${PORT:-80}:80":      {"PORT"},
		"jdbc:mysql://${H:-db}:3306/$D": {"H", "D"},
	} {
		if got := names(text); !slices.Equal(got, want) {
			t.Errorf("names(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestSettle(t *testing.T) {
	values := map[string]string{"TAG": "1.2", "MONEY": "a$b", "EMPTY": ""}
	for text, want := range map[string]string{
		"emr:${TAG}":               "emr:1.2",
		"${PORT:-80}":              "${PORT:-80}",
		"${PORT}-$TAG-$PORT":       "${PORT}-1.2-$PORT",
		"${PORT:-${TAG}}":          "${PORT:-1.2}",
		"${TAG:+${PORT}}":          "${PORT}",
		"${EMPTY:+${PORT}}":        "",
		"$$TAG ${MONEY}":           "$$TAG a$$b",
		"${EMPTY:-x}${EMPTY-y}":    "x",
		"${PORT:?say ${TAG}}":      "${PORT:?say 1.2}",
		"[::1]:${PORT:-8080}:8080": "[::1]:${PORT:-8080}:8080",
	} {
		if got := settle(text, values); got != want {
			t.Errorf("settle(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestSplitPort(t *testing.T) {
	for text, want := range map[string][]string{
		"80":                             {"80"},
		"8080:80/udp":                    {"8080", "80/udp"},
		"${IP:-127.0.0.1}:${P:-8080}:80": {"${IP:-127.0.0.1}", "${P:-8080}", "80"},
		"[::1]:80:80":                    {"[::1]", "80", "80"},
	} {
		if got := splitPort(text); !slices.Equal(got, want) {
			t.Errorf("splitPort(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	all := []string{"checks", "databases", "entry", "from"}
	for word, want := range map[string]string{
		"check": "checks", "Checks": "checks", "database": "databases", "entyr": "entry", "data": "databases", "zebra": "", "x": "",
	} {
		if got := nearest(word, all); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

// FuzzNames: whatever compose asks for while it puts values in, we have found before.
func FuzzNames(f *testing.F) {
	for _, text := range []string{
		"$A", "${A}", "${A:-${B:-c}}d${E}", "$$A", "${A:+$B}", "${A-{x}}", "${", "${A:?b}", "$A${B}$$${C}", "${A:-}}", "{${A}", "${A-b}c-${D:-e}",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		found := map[string]bool{}
		for _, name := range names(text) {
			found[name] = true
		}
		for _, set := range []bool{true, false} {
			var asked []string
			_, err := template.SubstituteWithOptions(text, func(name string) (string, bool) {
				asked = append(asked, name)
				return "value", set
			}, template.WithoutLogging)
			if err != nil {
				continue // not a text that compose accepts
			}
			for _, name := range asked {
				if !found[name] {
					t.Fatalf("compose reads %q in %q; found %v", name, text, found)
				}
			}
		}
	})
}
