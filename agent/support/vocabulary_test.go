package support

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write vocabulary.txt anew")

// TestVocabularyIsOfTheSources makes the vocabulary anew: the words of all texts in the packages that dhow consists of, those of the English locale files,
// and those of testdata/elsewhere.txt, which is what databases, engines and systems say.
func TestVocabularyIsOfTheSources(t *testing.T) {
	want := strings.Join(gather(t, filepath.Join("..", "..")), "\n") + "\n"
	if *update {
		if err := os.WriteFile("vocabulary.txt", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want == vocabularyText {
		return
	}
	now, was := strings.Fields(want), strings.Fields(vocabularyText)
	not := func(list []string) func(string) bool { return func(w string) bool { return slices.Contains(list, w) } }
	t.Errorf("it is not of the sources: run go generate ./agent/support. Missing: %q. No longer used: %q",
		slices.DeleteFunc(slices.Clone(now), not(was)), slices.DeleteFunc(slices.Clone(was), not(now)))
}

// people are ordinary words that are names of people, too: with a capital, or in capitals alone, none of them passes. Other names are no words of dhow.
const people = `an april art august autumn baker banks bill black brook brown bush case chance christian cook dale dawn day dean do drew early eve faith
field ford frank grace grant gray green grey ha hill hope iris jack joy june king knight lane le lee lily list long major mark mason may miles moon page park
part penny porter potter price ray rice rich rob root rose ruby sandy shepherd singer skip small smith song stone sue summer sun taylor to turner victor
violet walker ward weaver wells white will winter wood young`

// gather lists the vocabulary, sorted. root is the folder of the module.
func gather(t *testing.T, root string) []string {
	t.Helper()
	said := map[string]bool{}
	ofTexts(t, root, "agent/cmd/dhow", map[string]bool{}, said)
	files, err := filepath.Glob(filepath.Join(root, "agent", "words", "lang", "*.en.yaml"))
	if err != nil || len(files) < 20 {
		t.Fatalf("%d locale files, %v", len(files), err)
	}
	for _, f := range files {
		for line := range strings.Lines(readFile(t, f)) {
			_, text, _ := strings.Cut(line, ":")
			collect(said, filled.ReplaceAllString(text, " "))
		}
	}
	elsewhere := map[string]bool{}
	for _, w := range tokens(readFile(t, filepath.Join("testdata", "elsewhere.txt"))) {
		elsewhere[w], said[w] = true, true
	}
	people := strings.Fields(people)
	maps.DeleteFunc(said, func(w string, _ bool) bool {
		lower := strings.ToLower(w)
		if w == lower || slices.Contains(people, lower) {
			return w != lower
		}
		// A capital stands at the beginning of a sentence, where it is a word that is there without one, too; elsewhere it is somebody's name.
		return !said[lower] && !elsewhere[w] && (len(w) == 1 || w != strings.ToUpper(w))
	})
	return slices.Sorted(maps.Keys(said))
}

var (
	filled = regexp.MustCompile(`\{\{.*?\}\}`)
	plain  = regexp.MustCompile(`^[A-Za-z]([A-Za-z'_-]*[A-Za-z])?(\.(yaml|env|json))?$`)
)

func collect(said map[string]bool, text string) {
	for _, w := range tokens(text) {
		if len(w) <= 30 && plain.MatchString(w) {
			said[w] = true
		}
	}
}

// ofTexts collects the words of the texts in a package, tests aside, and in those of this module that it imports.
func ofTexts(t *testing.T, root, dir string, done, said map[string]bool) {
	t.Helper()
	if done[dir] {
		return
	}
	done[dir] = true
	files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(dir), "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", dir, len(files), err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ImportSpec:
				path, _ := strconv.Unquote(n.Path.Value)
				if below, own := strings.CutPrefix(path, "dhow/"); own {
					ofTexts(t, root, below, done, said)
				}
				return false
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
					collect(said, text)
				}
			}
			return true
		})
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
