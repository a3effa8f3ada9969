package words

import (
	"cmp"
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
	"gopkg.in/yaml.v3"
)

//go:embed lang/*.yaml
var files embed.FS

// rules names the language whose plural rules a language has, where CLDR has none for it: in Haitian Creole, as in Vietnamese, nouns do not change.
var rules = map[string]string{"ht": "vi"}

// area holds the sentences of an area in one language, by key.
type area map[string]*sentence

var loaded = struct {
	sync.Mutex
	areas map[string]area // by language and area
}{areas: map[string]area{}}

// load returns the area of key in a language, which is read from its files the first time. Files that can't be read are no sentences; the tests find
// that.
func load(tag, key string) area {
	of, _, _ := strings.Cut(key, ".")
	if of == "hint" {
		of = "error"
	}
	loaded.Lock()
	defer loaded.Unlock()
	if a := loaded.areas[tag+"/"+of]; a != nil {
		return a
	}
	a := area{}
	names, _ := fs.Glob(files, "lang/*."+tag+".yaml")
	for _, name := range names {
		if areaOf(name) == of {
			_ = read(name, a)
		}
	}
	loaded.areas[tag+"/"+of] = a
	return a
}

// areaOf is the area of a file: error for lang/error-stick.fr.yaml.
func areaOf(name string) string {
	name, _, _ = strings.Cut(strings.TrimPrefix(name, "lang/"), ".")
	area, _, _ := strings.Cut(name, "-")
	return area
}

// sentence is a value in a file: a text, or one for each plural form.
type sentence struct {
	Zero, One, Two, Few, Many, Other string
}

func (s *sentence) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&s.Other)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		forms := map[string]*string{"zero": &s.Zero, "one": &s.One, "two": &s.Two, "few": &s.Few, "many": &s.Many, "other": &s.Other}
		form := forms[n.Content[i].Value]
		if form == nil {
			return fmt.Errorf("line %d: %q is no plural form", n.Content[i].Line, n.Content[i].Value)
		}
		if err := n.Content[i+1].Decode(form); err != nil {
			return err
		}
	}
	return nil
}

// form is what is said of n in the language with a tag; with nil for n it is said of nothing that is counted.
func (s *sentence) form(tag string, n *int) string {
	if n == nil {
		return s.Other
	}
	if other := rules[tag]; other != "" {
		tag = other
	}
	last := *n % 10_000_000 // the rules look at no more, and at no sign
	said := map[plural.Form]string{plural.Zero: s.Zero, plural.One: s.One, plural.Two: s.Two, plural.Few: s.Few, plural.Many: s.Many}[plural.Cardinal.MatchPlural(
		language.Make(tag), max(last, -last), 0, 0, 0, 0)]
	return cmp.Or(said, s.Other)
}

// read adds what is in a file.
func read(name string, to area) error {
	data, err := files.ReadFile(name)
	if err != nil {
		return err
	}
	return yaml.Unmarshal(data, &to)
}
