package words

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// withoutKind are the beginnings of failures that stay as they are, by reason.
var withoutKind = map[string]string{
	"internal error:":                       "is for who mends Dhow",
	"the agent answered with status":        "another program stands behind the socket",
	"the agent took too long":               "is said by the agent of a client that has gone",
	"this works inside a container":         "nobody orders it",
	"is not the number of a change":         "dhow never asks so",
	"the agent does not know":               "another version of dhow asks, or a script",
	"the request is not understood":         "another version of dhow asks, or a script",
	"is not the path of a file or folder":   "dhow looks at it first",
	"nothing is known of":                   "dhow never asks so",
	"this is no receipt":                    "dhow never asks so",
	"format, %v: it is chosen where called": "fetch, flags, offsite.Hint and what nobody has foreseen: a cause from below, in English as README says",
}

// Who makes a failure that people see gives it a kind, or it stays English in all languages.
func TestFailuresHaveAKind(t *testing.T) {
	calls := 0
	for _, root := range []string{"../api", "../cmd/dhow", "../daemon", "../update", "../page"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			kinds := map[ast.Node]bool{}
			ast.Inspect(file, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				if in, ok := call.Fun.(*ast.SelectorExpr); ok && in.Sel.Name == "In" {
					kinds[in.X] = true
				}
				at, known := map[string]int{"Fail": 2, "refuse": 1}[called(call)]
				if !known || len(call.Args) <= at {
					return true
				}
				calls++
				format, literal := text(call.Args[at])
				exempt := !literal || format == "%v"
				for beginning := range withoutKind {
					exempt = exempt || strings.Contains(format, beginning)
				}
				if !kinds[call] && !exempt {
					t.Errorf("%s: %q has no kind", set.Position(call.Pos()), format)
				}
				if format == "%v" && !kinds[call] && !slices.Contains([]string{"install_machine.go", "install_restore.go", "language.go", "root.go"}, filepath.Base(path)) {
					t.Errorf("%s: what comes from below has no kind", set.Position(call.Pos()))
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if calls < 150 {
		t.Fatalf("found only %d failures", calls)
	}
}
