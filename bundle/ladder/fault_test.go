//go:build faults

package ladder

import (
	"context"
	"errors"
	"io/fs"
	"syscall"
	"testing"
)

// A disk that is full while a delta is applied takes another rung, and is named as the cause when there is none.
func TestRunOnAFullDisk(t *testing.T) {
	for _, place := range []string{"ladder/base", "ladder/apply", "durable/write"} {
		s := newScene(t)
		t.Setenv("DHOW_FAULT", place+":enospc")
		t.Setenv("DHOW_FAULT_DIR", t.TempDir())
		var asked *Plan
		s.job.Dearer = func(p Plan) error { asked = &p; return nil }
		if moved := s.run(); moved != s.delta.Size+s.full.Size {
			t.Errorf("%s: %d bytes moved", place, moved)
		}
		s.expect("the delta from 1.0.0 to layer 1 of web found no room: ")
		if asked == nil || asked.Bytes != s.full.Size || asked.Roomier.Bytes != 0 {
			t.Errorf("%s: asked of %+v", place, asked)
		}
		if s.lasting[0] {
			t.Errorf("%s: the delta is blamed", place)
		}
	}
	s := newScene(t)
	t.Setenv("DHOW_FAULT", "ladder/apply:enospc")
	t.Setenv("DHOW_FAULT_DIR", t.TempDir())
	delete(s.line.blobs, s.full.Digest)
	delete(s.line.blobs, s.direct.Digest)
	if _, err := Run(context.Background(), s.job); !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if !s.store.Has(s.delta.Blob) {
		t.Fatal("the delta has to be fetched again")
	}
	if moved := s.run(); moved != 0 {
		t.Errorf("%d bytes moved when there was room", moved)
	}
}

// A disk that fails ends the whole: no other rung does better.
func TestRunOnAFailingDisk(t *testing.T) {
	for _, place := range []string{"ladder/base", "ladder/apply", "ladder/made", "durable/write"} {
		s := newScene(t)
		t.Setenv("DHOW_FAULT", place+":eio")
		t.Setenv("DHOW_FAULT_DIR", t.TempDir())
		if _, err := Run(context.Background(), s.job); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: %v", place, err)
		}
		s.expect()
		if moved := s.run(); moved != 0 {
			t.Errorf("%s: %d bytes moved again", place, moved)
		}
	}
}
