package words

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// sayers are the methods that are asked for a sentence: their first argument is the key, and arguments come in pairs from the one that is named here; 0
// stands for a map, whose names can't be seen.
var sayers = map[string]int{"Say": 1, "say": 1, "sayln": 1, "Count": 2, "Map": 0, "Has": 0}

// asked is what a source asks for.
type asked struct {
	keys     map[string]bool
	begins   map[string]bool // "step.": what follows is chosen at run time
	problems []string
}

func (a *asked) complain(where, format string, args ...any) {
	a.problems = append(a.problems, where+": "+fmt.Sprintf(format, args...))
}

// source reads a Go file.
func (a *asked) source(name string, content []byte, have area) error {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, content, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	areas := areasOf(have)
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			key, ok := text(n)
			if ok && have["error."+key] != nil { // a kind that is chosen at run time
				a.keys["error."+key], a.keys["hint."+key] = true, true
			}
			if ok && have["said."+key] != nil {
				a.keys["said."+key] = true
			}
			area, _, dotted := strings.Cut(key, ".")
			if !ok || !dotted || !areas[area] {
				return true
			}
			a.keys[key] = true
			if strings.HasSuffix(key, ".") {
				a.begins[key] = true
			}
		case *ast.CallExpr:
			method, ok := n.Fun.(*ast.SelectorExpr)
			if !ok || len(n.Args) == 0 {
				return true
			}
			first, literal := text(n.Args[0])
			where := set.Position(n.Pos()).String()
			if from, says := sayers[method.Sel.Name]; says && literal && keyShape.MatchString(first) {
				a.said(where, first, n.Args, from, have)
			}
			if x, ok := method.X.(*ast.Ident); ok && x.Name == "api" && method.Sel.Name == "Say" && literal { // of package api: the kind of a Said
				a.said(where, "said."+first, n.Args, 1, have)
			}
			if method.Sel.Name == "In" && literal {
				a.failed(where, first, n, method, have)
			}
		}
		return true
	})
	return nil
}

// said checks a call that asks for a sentence.
func (a *asked) said(where, key string, args []ast.Expr, from int, have area) {
	m := have[key]
	if m == nil {
		a.complain(where, "there is no sentence %s", key)
		return
	}
	if from > 0 && len(args) >= from {
		a.given(where, key, m, args[from:], from == 2)
	}
}

// given checks names and values by turns against the arguments of a sentence.
func (a *asked) given(where, key string, m *sentence, pairs []ast.Expr, counted bool) {
	var names []string
	if counted {
		names = append(names, "n")
	}
	for i := 0; i < len(pairs); i += 2 {
		name, ok := text(pairs[i])
		if !ok {
			return // they are chosen at run time
		}
		names = append(names, name)
	}
	if len(pairs)%2 != 0 {
		a.complain(where, "%s: a name has no value", key)
	}
	for _, want := range arguments(m.Other) {
		if !slices.Contains(names, want) {
			a.complain(where, "%s needs the argument %s", key, want)
		}
	}
}

// failed checks api.Fail(code, hint, format, …).In(kind, …): the sentences are there, and the English ones are those of Fail.
func (a *asked) failed(where, kind string, call *ast.CallExpr, method *ast.SelectorExpr, have area) {
	fail, ok := method.X.(*ast.CallExpr)
	hintAt := map[string]int{"Fail": 1, "refuse": 0}
	at, known := -1, false
	if ok {
		at, known = hintAt[called(fail)]
	}
	if !known || len(fail.Args) < at+2 {
		if m := have["error."+kind]; m == nil { // the rest of it is elsewhere
			a.complain(where, "there is no sentence error.%s", kind)
		} else {
			a.given(where, "error."+kind, m, call.Args[1:], false)
		}
		return
	}
	hint, hintLiteral := text(fail.Args[at])
	format, formatLiteral := text(fail.Args[at+1])
	check := func(key, english string, literal bool) {
		a.keys[key] = true
		m := have[key]
		if m == nil {
			a.complain(where, "there is no sentence %s", key)
			return
		}
		a.given(where, key, m, call.Args[1:], false)
		if literal && alike(english) != alike(m.Other) {
			a.complain(where, "%s says %q in English, and Fail %q", key, m.Other, english)
		}
	}
	check("error."+kind, format, formatLiteral)
	if beginning := leftmost(fail.Args[at]); hintLiteral && hint == "" || strings.HasPrefix(beginning, "see: ") {
		return
	}
	check("hint."+kind, hint, hintLiteral)
}

// leftmost is the text that a sum of texts begins with.
func leftmost(e ast.Expr) string {
	if sum, ok := e.(*ast.BinaryExpr); ok {
		return leftmost(sum.X)
	}
	s, _ := text(e)
	return s
}

var verb = regexp.MustCompile(`"?(%[+#]?[a-z]|\{\{\.[a-z_]+\}\})"?`)

// alike leaves of a text what formats and sentences have in common.
func alike(text string) string { return verb.ReplaceAllString(text, "…") }

// called is the name of what a call calls, without its package.
func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.SelectorExpr:
		return f.Sel.Name
	case *ast.Ident:
		return f.Name
	}
	return ""
}

func text(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(l.Value)
	return s, err == nil
}

var (
	action = regexp.MustCompile(`\{\{[^}]*\}\}`)
	quoted = regexp.MustCompile(`(template |define |block )?"([a-z]+\.[a-z0-9_.-]*)"`)
)

// template reads a template: each string in an action that begins with an area is a key, or the beginning of one.
func (a *asked) template(name string, content []byte, have area) {
	areas := areasOf(have)
	for _, act := range action.FindAll(content, -1) {
		for _, q := range quoted.FindAllSubmatch(act, -1) {
			key := string(q[2])
			if area, _, _ := strings.Cut(key, "."); len(q[1]) > 0 || !areas[area] {
				continue
			}
			a.keys[key] = true
			if strings.HasSuffix(key, ".") {
				a.begins[key] = true
			} else if have[key] == nil {
				a.complain(name, "there is no sentence %s", key)
			}
		}
	}
}

func areasOf(have area) map[string]bool {
	areas := map[string]bool{}
	for key := range have {
		area, _, _ := strings.Cut(key, ".")
		areas[area] = true
	}
	return areas
}

// idle lists the keys that nobody asks for.
func (a *asked) idle(have area) (keys []string) {
	for _, key := range slices.Sorted(maps.Keys(have)) {
		used := a.keys[key]
		for i := range key {
			used = used || a.begins[key[:i]]
		}
		if !used {
			keys = append(keys, key)
		}
	}
	return keys
}

// What the program asks for is there, with the arguments that it needs, and nothing is there that nobody asks for.
func TestEverySentenceIsUsed(t *testing.T) {
	have := english(t)
	a := asked{keys: map[string]bool{}, begins: map[string]bool{}}
	sources := 0
	for _, root := range []string{"../../agent", "../../installer"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") {
				return err
			}
			ext := filepath.Ext(path)
			if ext != ".go" && ext != ".html" && ext != ".tmpl" {
				return nil
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			sources++
			if ext != ".go" {
				a.template(path, content, have)
				return nil
			}
			return a.source(path, content, have)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if sources < 100 {
		t.Fatalf("found only %d sources", sources)
	}
	for _, p := range a.problems {
		t.Error(p)
	}
	for _, key := range a.idle(have) {
		t.Errorf("nobody asks for %s", key)
	}
}

// The search finds what it is there for.
func TestAsked(t *testing.T) {
	have := area{
		"page.ready": {Other: "{{.release}} is ready"}, "page.count": {One: "one of {{.site}}", Other: "{{.n}} of {{.site}}"},
		"step.one": {Other: "one"}, "step.two": {Other: "two"}, "page.idle": {Other: "idle"}, "page.title": {Other: "title"},
		"error.full": {Other: "the disk {{.disk}} is full"}, "hint.full": {Other: "free some"},
	}
	a := asked{keys: map[string]bool{}, begins: map[string]bool{}}
	err := a.source("x.go", []byte(`package x
func f() {
	r.Say("page.ready", "release", v)
	r.Say("page.ready", "version", v)
	r.Say("page.ready", names...)
	r.Say("page.gone")
	s.sayln("page.count", "n", 1, "site")
	r.Count("page.count", 3)
	r.Map("step." + name, nil)
	api.Fail(api.CodeRefused, "free some", "the disk %q is full", d).In("full", "disk", d)
	api.Fail(api.CodeRefused, "free more", "the disk %s is full", d).In("full")
	api.Fail(api.CodeRefused, s.hint(), "it is lost").In("lost")
	api.Fail(api.CodeRefused, "see: "+x, "it is lost").In("lost")
	e.In("full")
	f.In("none")
	api.Say("over")
	refuse("free some", "the disk is full").In("full", "disk", d)
}
`), have)
	if err != nil {
		t.Fatal(err)
	}
	a.template("x.html", []byte(`<p lang="page.lang">{{.Say "page.title"}}{{template "page.body" .}}{{.Say "page.body"}}</p>`), have)
	got := strings.Join(append(a.problems, a.idle(have)...), "\n")
	want := `x.go:4:2: page.ready needs the argument release
x.go:6:2: there is no sentence page.gone
x.go:7:2: page.count: a name has no value
x.go:8:2: page.count needs the argument site
x.go:11:2: error.full needs the argument disk
x.go:11:2: hint.full says "free some" in English, and Fail "free more"
x.go:12:2: there is no sentence error.lost
x.go:12:2: there is no sentence hint.lost
x.go:13:2: there is no sentence error.lost
x.go:14:2: error.full needs the argument disk
x.go:15:2: there is no sentence error.none
x.go:16:2: there is no sentence said.over
x.go:17:2: error.full says "the disk {{.disk}} is full" in English, and Fail "the disk is full"
x.html: there is no sentence page.body
page.idle`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
