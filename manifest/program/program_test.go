package program

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
)

func own(t testing.TB) []byte {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestCheck(t *testing.T) {
	good := own(t)
	others := "linux/arm64"
	if strings.HasPrefix(Here(), others) {
		others = "linux/amd64"
	}
	for name, c := range map[string]struct {
		data     []byte
		platform string
		good     bool
	}{
		"itself":          {good, Here(), true},
		"another machine": {good, others, false},
		"another system":  {good, "windows/amd64", false},
		"cut":             {good[:len(good)/2], Here(), false},
		"a head":          {good[:100], Here(), false},
		"a script":        {[]byte("#!/bin/sh\necho hello\n"), Here(), false},
		"nothing":         {nil, Here(), false},
		"no platform":     {good, "linux", false},
		"a new platform":  {good, "plan9/amd64", false},
	} {
		err := Check(bytes.NewReader(c.data), int64(len(c.data)), c.platform)
		if c.good != (err == nil) || err != nil && !errors.Is(err, ErrOther) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(own(f)[:4096], "linux/amd64")
	f.Add([]byte("MZ"), "windows/amd64")
	f.Add([]byte{0xcf, 0xfa, 0xed, 0xfe}, "darwin/arm64")
	f.Fuzz(func(t *testing.T, data []byte, platform string) {
		if err := Check(bytes.NewReader(data), int64(len(data)), platform); err != nil && !errors.Is(err, ErrOther) {
			t.Errorf("another error: %v", err)
		}
	})
}
