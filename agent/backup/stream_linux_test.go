package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestStreamsOfSnapshots: a finished snapshot vouches for its streams as for its trees.
func TestStreamsOfSnapshots(t *testing.T) {
	dir, snap := filepath.Join(t.TempDir(), "tree"), filepath.Join(t.TempDir(), "snap")
	newForest(t, 1, dir)
	trees := []Tree{{"data", dir}}
	must(t, CopyAhead(t.Context(), snap, trees, nil))
	data := tarOf(t, made2020, "./a=content")
	s, err := SaveStream(t.Context(), snap, "far", bytes.NewReader(data), nil)
	must(t, err)
	info := Info{Made: made, Streams: []Stream{s}}
	got, err := Finish(t.Context(), snap, trees, info, nil)
	must(t, err)
	if got.Bytes() != s.Bytes {
		t.Errorf("the snapshot has %d bytes", got.Bytes())
	}
	must(t, Verify(t.Context(), snap))
	data[600] ^= 1
	must(t, os.WriteFile(streamPath(snap, "far"), data, 0o600))
	if err := Verify(t.Context(), snap); !errors.Is(err, ErrDamaged) {
		t.Errorf("a flipped bit: %v", err)
	}
	if _, err := OpenStream(t.Context(), snap, s); !errors.Is(err, ErrDamaged) {
		t.Errorf("a flipped bit: %v", err)
	}
	if _, err := Finish(t.Context(), snap, trees, info, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("a flipped bit in the last pass: %v", err)
	}
	must(t, os.Remove(streamPath(snap, "far")))
	if _, err := Finish(t.Context(), snap, trees, info, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("a missing stream: %v", err)
	}
}

func sumOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// TestDumpIsReadBackOnce: one that was proven ahead is believed while nothing has touched it since.
func TestDumpIsReadBackOnce(t *testing.T) {
	dir, snap := filepath.Join(t.TempDir(), "tree"), filepath.Join(t.TempDir(), "snap")
	newForest(t, 1, dir)
	trees := []Tree{{"data", dir}}
	must(t, CopyAhead(t.Context(), snap, trees, nil))
	file := filepath.Join(snap, DumpsDir, "db.sql.zst")
	must(t, os.WriteFile(file, []byte("dump"), 0o600))
	settled(t)
	d := Dump{File: "db.sql.zst", Bytes: 4, SHA256: sumOf("no dump")}
	if _, err := ProveDump(t.Context(), snap, d); !errors.Is(err, ErrDamaged) {
		t.Fatalf("a wrong digest: %v", err)
	}
	d.SHA256 = sumOf("dump")
	boot(t, bootA)
	d, err := ProveDump(t.Context(), snap, d)
	must(t, err)
	if d.Seen == nil {
		t.Fatal("the dump was not read back")
	}
	finish := func(d Dump) error {
		_, err := Finish(t.Context(), snap, trees, Info{Made: made, Dumps: []Dump{d}}, nil)
		return err
	}
	must(t, finish(d))
	wrong := d
	wrong.SHA256 = sumOf("other")
	must(t, finish(wrong)) // not read again: this is how the last pass can be quick
	if err := Verify(t.Context(), snap); !errors.Is(err, ErrDamaged) {
		t.Errorf("verify believes it: %v", err)
	}
	boot(t, bootB)
	if err := finish(wrong); !errors.Is(err, ErrDamaged) {
		t.Errorf("believed after a new start of the system: %v", err)
	}
	boot(t, bootA)
	must(t, os.WriteFile(file, []byte("DUMP"), 0o600))
	if err := finish(d); !errors.Is(err, ErrDamaged) {
		t.Errorf("believed although it was written to: %v", err)
	}
}
