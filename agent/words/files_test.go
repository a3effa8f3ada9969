package words

import (
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const mark = "# Not reviewed by a speaker.\n"

// forms are the plural forms that a sentence with forms must have in a language.
var forms = map[string][]string{
	"en": {"one", "other"}, "fr": {"one", "other"}, "pt": {"one", "other"}, "es": {"one", "other"}, "sw": {"one", "other"},
	"ht": {"other"}, "ar": {"zero", "one", "two", "few", "many", "other"},
}

var (
	keyShape = regexp.MustCompile(`^[a-z]+(\.[a-z0-9_-]+)+$`)
	argument = regexp.MustCompile(`\{\{\.([a-z_]+)\}\}`)
)

// parts returns the plural forms of a message by name.
func parts(m *sentence) map[string]string {
	all := map[string]string{"zero": m.Zero, "one": m.One, "two": m.Two, "few": m.Few, "many": m.Many, "other": m.Other}
	maps.DeleteFunc(all, func(_, text string) bool { return text == "" })
	return all
}

// counted says whether a message has plural forms.
func counted(m *sentence) bool {
	return m.One != "" || m.Two != "" || m.Few != "" || m.Zero != ""
}

// arguments lists the arguments of a text.
func arguments(text string) []string {
	var names []string
	for _, m := range argument.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(names, m[1]) {
			names = append(names, m[1])
		}
	}
	slices.Sort(names)
	return names
}

// english reads all English sentences, by key.
func english(t *testing.T) area {
	t.Helper()
	return sentences(t, "en")
}

// sentences reads all files of a language and complains of what is wrong with each by itself.
func sentences(t *testing.T, tag string) area {
	t.Helper()
	names, err := fs.Glob(files, "lang/*."+tag+".yaml")
	if err != nil || len(names) == 0 {
		t.Fatalf("%s has no files: %v", tag, err)
	}
	all := area{}
	where := map[string]string{}
	for _, name := range names {
		here := area{}
		if err := read(name, here); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for key, m := range here {
			if first := where[key]; first != "" {
				t.Errorf("%s is in %s and in %s", key, first, name)
			}
			where[key] = name
			of := areaOf(name)
			if !keyShape.MatchString(key) || !strings.HasPrefix(key, of+".") && (of != "error" || !strings.HasPrefix(key, "hint.")) {
				t.Errorf("%s: %s is no key of this file", name, key)
			}
			for form, text := range parts(m) {
				if _, err := parse(text); err != nil {
					t.Errorf("%s: %s (%s): %v", name, key, form, err)
				}
				if strings.TrimSpace(text) != text || strings.Contains(text, "<") || strings.Contains(argument.ReplaceAllString(text, ""), "{{") {
					t.Errorf("%s: %s (%s) has spaces around it, markup, or an argument that is none: %q", name, key, form, text)
				}
			}
			all[key] = m
		}
	}
	return all
}

// Every language has every sentence, with the same arguments and in all the forms that it needs.
func TestLanguagesAreComplete(t *testing.T) {
	reference := english(t)
	for _, l := range languages {
		t.Run(l.Tag, func(t *testing.T) {
			all := sentences(t, l.Tag)
			for key := range all {
				if reference[key] == nil {
					t.Errorf("%s is in %s, not in English", key, l.Tag)
				}
			}
			for _, key := range slices.Sorted(maps.Keys(reference)) {
				if all[key] == nil {
					t.Errorf("%s is not in %s", key, l.Tag)
					continue
				}
				for _, problem := range compare(l.Tag, reference[key], all[key]) {
					t.Errorf("%s in %s: %s", key, l.Tag, problem)
				}
			}
		})
	}
}

// compare lists what m, in a language, lacks.
func compare(tag string, reference, m *sentence) (problems []string) {
	said := parts(m)
	needed := []string{"other"}
	if counted(reference) {
		needed = forms[tag]
	}
	for _, form := range needed {
		if said[form] == "" {
			problems = append(problems, "the form "+form+" is missing")
		}
	}
	if !counted(reference) && counted(m) {
		problems = append(problems, "it has plural forms, the English has none")
	}
	want := arguments(reference.Other)
	for _, form := range slices.Sorted(maps.Keys(said)) {
		has := arguments(said[form])
		for _, name := range want {
			if !slices.Contains(has, name) && (name != "n" || !slices.Contains([]string{"zero", "one", "two"}, form)) {
				problems = append(problems, "the argument "+name+" is missing in "+form)
			}
		}
		for _, name := range has {
			if !slices.Contains(want, name) {
				problems = append(problems, "the argument "+name+" in "+form+" is not in the English")
			}
		}
	}
	return problems
}

// The comparison finds what it is there for.
func TestCompare(t *testing.T) {
	reference := &sentence{One: "{{.n}} backup of {{.site}}", Other: "{{.n}} backups of {{.site}}"}
	for _, c := range []struct {
		tag  string
		m    sentence
		want string
	}{
		{"fr", sentence{One: "une sauvegarde de {{.site}}", Other: "{{.n}} sauvegardes de {{.site}}"}, ""},
		{"fr", sentence{Other: "{{.n}} sauvegardes de {{.site}}"}, "the form one is missing"},
		{"ht", sentence{Other: "{{.n}} kopi {{.site}}"}, ""},
		{"ht", sentence{Other: "kopi {{.site}}"}, "the argument n is missing in other"},
		{
			"sw",
			sentence{One: "nakala {{.n}}", Other: "nakala {{.n}} {{.sites}} {{.site}}"},
			"the argument site is missing in one; the argument sites in other is not in the English",
		},
		{"ar", sentence{One: "{{.site}}", Two: "{{.site}}", Few: "{{.n}} {{.site}}", Other: "{{.n}} {{.site}}"}, "the form zero is missing; the form many is missing"},
	} {
		if got := strings.Join(compare(c.tag, reference, &c.m), "; "); got != c.want {
			t.Errorf("%s %+v: %q, want %q", c.tag, c.m, got, c.want)
		}
	}
}

// Words that were other names of what has one (see Terms), or that say something else to those who read them.
func TestTerms(t *testing.T) {
	for tag, pattern := range map[string]string{
		"fr": `(?i)Docker Engine|\b(une|la) pile «|\bannulée\b|dernier bon compte`,
		"pt": `(?i)Docker Engine|\b(uma|a) pilha \\?"|\bajustes\b|\bdoentes\b`,
		"es": `(?i)Docker Engine|\bordenador|\b(una|la) pila \\?"|haga sitio|\bla orden\b`,
		"ht": `Docker Engine|kopi sekirite|pou kont (li|yo)`,
		"sw": `Docker Engine`,
		"ar": `Docker Engine|العميل|مركب|رمز PIN`,
	} {
		bad := regexp.MustCompile(pattern)
		for key, m := range sentences(t, tag) {
			for form, text := range parts(m) {
				if found := bad.FindString(text); found != "" {
					t.Errorf("%s: %s (%s) says %q", tag, key, form, found)
				}
			}
		}
	}
}

// What the page shows is a version in English, too: "release" is a word of the central team.
func TestTheNurseReadsVersion(t *testing.T) {
	bad := regexp.MustCompile(`(?i)\breleases?\b`)
	for key, m := range sentences(t, "en") {
		for form, text := range parts(m) {
			area, _, _ := strings.Cut(key, ".")
			if slices.Contains([]string{"page", "need", "step", "offer", "door"}, area) && bad.MatchString(action.ReplaceAllString(text, "")) {
				t.Errorf("%s (%s): %s", key, form, text)
			}
		}
	}
}

// A translation that no speaker has read says so in its first line. Once it is read, its name is added here and the line goes.
func TestMarks(t *testing.T) {
	reviewed := map[string]bool{}
	names, err := fs.Glob(files, "lang/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		data, err := files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if marked := strings.HasPrefix(string(data), mark); marked == (reviewed[name] || strings.HasSuffix(name, ".en.yaml")) {
			t.Errorf("%s: marked as not reviewed: %v", name, marked)
		}
		if tag := strings.Split(name, ".")[1]; !Speaks(tag) || forms[tag] == nil {
			t.Errorf("%s: there is no language %s", name, tag)
		}
	}
}
