package words

import (
	"cmp"
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
	"gopkg.in/yaml.v3"
)

//go:embed lang/*.yaml
var files embed.FS

// rules names the language whose plural rules a language has, where CLDR has none for it: in Haitian Creole, as in Vietnamese, nouns do not change.
var rules = map[string]string{"ht": "vi"}

// bundle holds the sentences of one area in one language.
type bundle struct {
	in  *i18n.Localizer
	has map[string]bool
}

var loaded = struct {
	sync.Mutex
	areas map[string]*bundle // by language and area
}{areas: map[string]*bundle{}}

// load returns the area of key in a language, which is read from its files the first time. Files that can't be read are no sentences; the tests find
// that.
func load(tag, key string) *bundle {
	area, _, _ := strings.Cut(key, ".")
	if area == "hint" {
		area = "error"
	}
	loaded.Lock()
	defer loaded.Unlock()
	if b := loaded.areas[tag+"/"+area]; b != nil {
		return b
	}
	plurals := language.Make(tag)
	if other := rules[tag]; other != "" {
		plurals = language.Make(other)
	}
	all := i18n.NewBundle(plurals)
	b := &bundle{has: map[string]bool{}}
	names, _ := fs.Glob(files, "lang/*."+tag+".yaml")
	for _, name := range names {
		if areaOf(name) != area {
			continue
		}
		messages, err := read(name)
		if err != nil {
			continue
		}
		for _, m := range messages {
			b.has[m.ID] = true
			m.Many = cmp.Or(m.Many, m.Other) // whole millions in French, Portuguese and Spanish
		}
		if err := all.AddMessages(plurals, messages...); err != nil {
			continue
		}
	}
	b.in = i18n.NewLocalizer(all, plurals.String())
	loaded.areas[tag+"/"+area] = b
	return b
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

// read reads one file.
func read(name string) ([]*i18n.Message, error) {
	data, err := files.ReadFile(name)
	if err != nil {
		return nil, err
	}
	all := map[string]sentence{}
	if err := yaml.Unmarshal(data, &all); err != nil {
		return nil, err
	}
	messages := make([]*i18n.Message, 0, len(all))
	for key, s := range all {
		messages = append(messages, &i18n.Message{ID: key, Zero: s.Zero, One: s.One, Two: s.Two, Few: s.Few, Many: s.Many, Other: s.Other})
	}
	return messages, nil
}
