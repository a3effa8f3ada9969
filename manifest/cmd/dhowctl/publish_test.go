package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"dhow/agent/api"
	"dhow/manifest/sign"
)

// TestPublishAfterFreshnessOfAnother: only the date of signing is newer at the destination. Sites have seen it, and would take nothing else.
func TestPublishAfterFreshnessOfAnother(t *testing.T) {
	keyOptions = []sign.Option{sign.WithWork(4)}
	t.Cleanup(func() { keyOptions = nil })
	t.Setenv(passphraseVariable, "correct horse")
	dir := t.TempDir()
	mine, clone, web := filepath.Join(dir, "mine"), filepath.Join(dir, "clone"), filepath.Join(dir, "web")
	start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	dhowctl := func(after time.Duration, args ...string) *api.Error {
		a := &app{in: os.Stdin, out: io.Discard, err: io.Discard, now: func() time.Time { return start.Add(after) }}
		root := a.root()
		root.SetArgs(args)
		if err := root.ExecuteContext(t.Context()); err != nil {
			return explain(err, a.running)
		}
		return nil
	}
	must := func(after time.Duration, args ...string) {
		t.Helper()
		if err := dhowctl(after, args...); err != nil {
			t.Fatal(err)
		}
	}
	must(0, "init", mine, "--name", "f")
	must(0, "-C", mine, "publish", "--to", web)
	if err := os.CopyFS(clone, os.DirFS(mine)); err != nil {
		t.Fatal(err)
	}
	must(48*time.Hour, "-C", clone, "publish", "--to", web)
	stamp := func(dir string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, "metadata", "timestamp.json"))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	if bytes.Equal(stamp(mine), stamp(clone)) {
		t.Fatal("the other has signed nothing new")
	}
	before := stamp(mine)
	for _, after := range []time.Duration{time.Hour, 72 * time.Hour} {
		err := dhowctl(after, "-C", mine, "publish", "--to", web)
		want := api.Error{
			Code: api.CodeRefused, Hint: "git pull, then publish again",
			Message: web + " holds manifest 1 with a newer date of signing than here: somebody else has published",
		}
		if err == nil || !reflect.DeepEqual(*err, want) {
			t.Errorf("after %v:\n got %+v\nwant %+v", after, err, want)
		}
	}
	if !bytes.Equal(stamp(mine), before) {
		t.Error("something was signed all the same")
	}
	must(72*time.Hour, "-C", clone, "publish", "--to", web)
}
