// Package words holds every sentence that a person at a site reads, in the languages of the sites, and says sizes, lengths of time and moments.
//
// # Files
//
// lang/AREA.TAG.yaml, or lang/AREA-PART.TAG.yaml where one would get long, holds the sentences of an area in a language, one to a key that begins
// with "AREA.". The files of the area error hold hints too ("hint."). A value is the sentence, or one sentence for each plural form of the
// language:
//
//	page.ready: "An update is ready: {{.release}}"
//	page.backups:
//	  one: "{{.n}} backup"
//	  other: "{{.n}} backups"
//
// {{.name}} stands for an argument; nothing else is done inside of {{ }}. Plural rules are those of CLDR, as golang.org/x/text has them; a test
// compares them with those of go-i18n. (Itself it would bring text/template, see package page.) English and Swahili have one and other; French,
// Portuguese and Spanish too (whole millions are said as other); Haitian Creole has other; Arabic has
// zero, one, two, few, many and other. All languages have the same keys and arguments; only one, two and zero may leave {{.n}} out.
// A file that nobody has read who speaks the language as his own begins with "# Not reviewed by a speaker."
//
// The tests of this package fail when something of that is missing, when the program asks for a key that is not there, and when there is a
// key that nobody asks for. They find a key where it stands as a whole in Go or in a template ("page.ready"), or with its beginning
// where the rest is chosen at run time ("step." + name).
//
// # Terms
//
// The same thing has the same name everywhere:
//
//	release       version       versão               versión               toleo            vèsyon         الإصدار
//	update        mise à jour   atualização          actualización         sasisho          mizajou        التحديث
//	backup        sauvegarde    cópia de segurança   copia de seguridad    nakala rudufu    kopi sovgad    النسخة الاحتياطية
//	bundle        paquet        pacote               paquete               kifurushi        pakè           الحزمة
//	stick         clé USB       pen USB              memoria USB           kifaa cha USB    kle USB        ذاكرة USB
//	central team  équipe centrale  equipa central    equipo central        timu kuu         ekip santral   الفريق المركزي
//	agent         agent         agente               agente                wakala           ajan           الوكيل
//	site          site          local                sitio                 kituo            sit            الموقع
//	stack         système       sistema              sistema               mfumo            sistèm         النظام
//	fleet         flotte        frota                flota                 kundi            flòt           الأسطول
//	ring          groupe        grupo                grupo                 kikundi          gwoup          الحلقة
//	settings      réglages      definições           ajustes               mipangilio       reglaj         الإعدادات
//	command       commande      comando              comando               amri             kòmand         الأمر
//
// # Arguments
//
// Arguments are text, never markup: whoever writes HTML escapes the whole sentence. Control characters and overrides of the direction of
// writing are taken out of them. In Arabic every argument but a plain number is isolated (U+2068 … U+2069), so that a version, a path or a
// code keeps its own direction and does not turn the sentence around it; that holds in HTML as on a terminal, and <bdi> is needed only for what
// stands in HTML outside of a sentence. Digits are 0 to 9 in every language: they are read aloud on the telephone.
//
// A size or a length of time travels as a number beside the English text: where there is an argument NAME_bytes or NAME_seconds, {{.NAME}} is said by it in the
// words of who reads (see Reader.Map). In the same way {{.problem}} is said by the sentence "config.KIND" where there is an argument problem_kind,
// and {{.place}} is file with line and column as far as they are given.
//
// # Errors
//
// An error, a need or a sentence of the agent travels as a kind and arguments and is put into words where it is shown (see Reader.Error and Reader.Said).
package words

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/language"
)

// Language is one that Dhow speaks.
type Language struct {
	Tag       string // for example "fr"
	Name      string // by itself: "Français"
	Direction string // "ltr" or "rtl"
}

var languages = []Language{
	{"en", "English", "ltr"},
	{"fr", "Français", "ltr"},
	{"pt", "Português", "ltr"},
	{"es", "Español", "ltr"},
	{"sw", "Kiswahili", "ltr"},
	{"ht", "Kreyòl ayisyen", "ltr"},
	{"ar", "العربية", "rtl"},
}

// maxTag bounds what is read of a list of languages that comes from outside.
const maxTag = 200

// maxSeconds bounds a length of time that comes from outside: 100 years.
const maxSeconds = 100 * 365 * 24 * 60 * 60

// Reader is who reads: it says everything in one language. It may be used by many at a time and costs nothing to make.
type Reader struct {
	language Language
}

// For returns the Reader for the first language in tags that Dhow speaks, in English when there is none. Each of tags is one language
// ("fr", "pt-BR", "fr_CD.UTF-8") or what a browser sends as Accept-Language.
func For(tags ...string) *Reader {
	for _, t := range tags {
		if l, ok := find(t); ok {
			return &Reader{language: l}
		}
	}
	return &Reader{language: languages[0]}
}

// Speaks says whether tag, or a language in it, is one that Dhow speaks.
func Speaks(tag string) bool {
	_, ok := find(tag)
	return ok
}

func find(tag string) (Language, bool) {
	tag = tag[:min(len(tag), maxTag)]
	if i := strings.IndexAny(tag, ".@"); i >= 0 && !strings.ContainsAny(tag, ",;") {
		tag = tag[:i] // fr_CD.UTF-8
	}
	wanted, _, err := language.ParseAcceptLanguage(tag)
	if err != nil {
		return Language{}, false
	}
	for _, w := range wanted {
		base, _ := w.Base()
		if i := slices.IndexFunc(languages, func(l Language) bool { return l.Tag == base.String() }); i >= 0 {
			return languages[i], true
		}
	}
	return Language{}, false
}

// Language is the tag of the language that r reads, for example "fr".
func (r *Reader) Language() string { return r.language.Tag }

// Direction is "ltr" or "rtl".
func (r *Reader) Direction() string { return r.language.Direction }

// Languages lists all languages, each by its own name.
func (r *Reader) Languages() []Language { return slices.Clone(languages) }

// Say returns the sentence of key, filled with args: names and values by turns, as in r.Say("page.ready", "release", "1.1.0").
func (r *Reader) Say(key string, args ...any) string {
	return r.fill(key, nil, pairs(args))
}

// Map is Say with the arguments of a Need, an Offer or an Error.
func (r *Reader) Map(key string, args map[string]string) string {
	return r.fill(key, nil, r.formed(args))
}

// Said puts a sentence of the agent into words: "said.KIND". In English, and where the kind is not known, it stays as the agent has said it.
func (r *Reader) Said(kind string, args map[string]string, english string) string {
	if key := "said." + kind; kind != "" && r.language.Tag != "en" && r.Has(key) {
		return r.Map(key, args)
	}
	return english
}

// formed says sizes and lengths of time: NAME by NAME_bytes or NAME_seconds, where that is a number.
func (r *Reader) formed(args map[string]string) map[string]string {
	var out map[string]string
	for _, form := range []struct {
		ending string
		say    func(int64) string
	}{
		{"_bytes", r.Size},
		{"_seconds", func(n int64) string { return r.Length(time.Duration(min(n, maxSeconds)) * time.Second) }},
	} {
		for name, value := range args {
			base, is := strings.CutSuffix(name, form.ending)
			n, err := strconv.ParseInt(value, 10, 64)
			if !is || base == "" || err != nil || n < 0 {
				continue
			}
			if out == nil {
				out = maps.Clone(args)
			}
			out[base] = form.say(n)
		}
	}
	if key := "config." + args["problem_kind"]; args["problem_kind"] != "" && r.Has(key) {
		if out == nil {
			out = maps.Clone(args)
		}
		out["problem"] = r.fill(key, nil, args)
	}
	if args["file"] != "" && args["problem"] != "" && args["place"] == "" {
		if out == nil {
			out = maps.Clone(args)
		}
		switch {
		case args["line"] == "":
			out["place"] = args["file"]
		case args["column"] == "":
			out["place"] = r.fill("config.at_line", nil, args)
		default:
			out["place"] = r.fill("config.at_column", nil, args)
		}
	}
	if out == nil {
		return args
	}
	return out
}

// Count is Say in the plural form for n, which the sentence names {{.n}}.
func (r *Reader) Count(key string, n int, args ...any) string {
	all := pairs(args)
	all["n"] = strconv.Itoa(n)
	return r.fill(key, &n, all)
}

// Has says whether there is a sentence for key.
func (r *Reader) Has(key string) bool { return load(r.language.Tag, key)[key] != nil }

// Error puts an error that has a kind into words. What has none, or one that this program does not know, is told as a detail in English; but the
// hint "see: COMMAND" is known without a kind.
func (r *Reader) Error(kind, message, hint string, args map[string]string) (saidMessage, saidHint string) {
	if r.language.Tag == "en" {
		return message, hint
	}
	args = r.formed(args)
	if kind != "" && r.Has("error."+kind) {
		message = r.fill("error."+kind, nil, args)
	} else {
		message = r.Say("error.unsaid", "cause", message)
	}
	command, see := strings.CutPrefix(hint, "see: ")
	switch {
	case hint != "" && kind != "" && r.Has("hint."+kind):
		hint = r.fill("hint."+kind, nil, args)
	case see:
		hint = r.Say("hint.see", "command", command)
	}
	return message, hint
}

// fill falls back to English, then to the key: somebody in trouble must read something.
func (r *Reader) fill(key string, n *int, args map[string]string) string {
	for _, l := range []Language{r.language, languages[0]} {
		if s := load(l.Tag, key)[key]; s != nil {
			if f, err := parse(s.form(l.Tag, n)); err == nil {
				return f.fill(args, l.Direction == "rtl")
			}
		}
	}
	return key
}

// List joins names as a list is written: "a, b".
func (r *Reader) List(names []string) string { return strings.Join(names, r.Say("unit.comma")+" ") }

// Colon says what something is about, then it: "1.1.0: new malaria form".
func (r *Reader) Colon(about, text string) string {
	return r.Say("unit.colon", "about", about, "text", text)
}

// pairs makes a map of names and values by turns.
func pairs(args []any) map[string]string {
	m := make(map[string]string, len(args)/2)
	for i := 0; i+1 < len(args); i += 2 {
		m[fmt.Sprint(args[i])] = fmt.Sprint(args[i+1])
	}
	return m
}
