package durable_test

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"dhow/bundle/durable"
)

// TestCleanIn finds what WriteIn has begun and leaves what others have.
func TestCleanIn(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, name := range []string{durable.TempPrefix + "0a1b", durable.TempPrefix + "b.json-0a1b", "a.json"} {
		if err := root.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	names := func() string {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for _, e := range entries {
			list = append(list, e.Name())
		}
		return strings.Join(list, " ")
	}
	before, pulled := names(), errors.New("pulled out")
	err = durable.WriteIn(root, "a.json", 0o600, func(io.Writer) error {
		if names() == before {
			t.Error("nothing was begun")
		}
		if err := durable.CleanIn(root, "a.json"); err != nil {
			t.Error(err)
		}
		if now := names(); now != before {
			t.Errorf("left are %s, there were %s", now, before)
		}
		return pulled
	}, nil)
	if !errors.Is(err, pulled) {
		t.Error(err)
	}
}
