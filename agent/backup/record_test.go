package backup

import (
	"path/filepath"
	"strings"
	"testing"
)

var someDigest = strings.Repeat("0a", 32)

func FuzzSnapshot(f *testing.F) {
	f.Add([]byte(`{"format":1,"release":"1.0.0","made":"2026-11-21T21:03:42Z",` +
		`"trees":[{"name":"data","files":1,"bytes":2,"index":"` + someDigest + `"}]}`))
	f.Add([]byte(`{"format":1,"dumps":[{"file":"../x"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parse(data)
		if err != nil {
			return
		}
		for _, tree := range s.Trees {
			if filepath.Base(tree.Name) != tree.Name || !filepath.IsLocal(tree.Name) {
				t.Fatalf("accepted tree %q", tree.Name)
			}
		}
		for _, d := range s.Dumps {
			if filepath.Base(d.File) != d.File || !filepath.IsLocal(d.File) {
				t.Fatalf("accepted dump %q", d.File)
			}
		}
	})
}
