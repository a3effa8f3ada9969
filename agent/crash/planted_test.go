//go:build e2e

package crash_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"dhow/agent/crash"
	"dhow/bundle/durable"
)

// put places data under a name as durable does, but leaves out a step.
func put(without, path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), durable.TempPrefix)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if without != "fsync of the file" {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil || without == "fsync of the folder" {
		return err
	}
	return durable.SyncDir(filepath.Dir(path))
}

// overwrite changes a file in place.
func overwrite(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(data, 0); err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close(), durable.SyncDir(filepath.Dir(path)))
}

// planted are ways to keep two files, of which the record says what the data are: right ones and such with a mistake.
var planted = []struct {
	name string
	good bool
	keep func(dir string, data, record []byte) error
}{
	{"nothing left out", true, func(dir string, data, record []byte) error {
		return errors.Join(durable.WriteFile(filepath.Join(dir, string(record)), data, 0o600), durable.WriteFile(filepath.Join(dir, "record"), record, 0o600))
	}},
	{"without the fsync of the file", false, func(dir string, data, record []byte) error {
		return errors.Join(put("fsync of the file", filepath.Join(dir, string(record)), data), put("", filepath.Join(dir, "record"), record))
	}},
	{"without the fsync of the folder", false, func(dir string, data, record []byte) error {
		return errors.Join(put("", filepath.Join(dir, string(record)), data), put("fsync of the folder", filepath.Join(dir, "record"), record))
	}},
	{"the record before its data", false, func(dir string, data, record []byte) error {
		return errors.Join(put("", filepath.Join(dir, "record"), record), put("", filepath.Join(dir, string(record)), data))
	}},
	{"the record in place", false, func(dir string, data, record []byte) error {
		return errors.Join(put("", filepath.Join(dir, string(record)), data), overwrite(filepath.Join(dir, "record"), append(bytes.Repeat([]byte("/"), 5000), record...)))
	}},
	{"in a new folder that was not synced itself", false, func(dir string, data, record []byte) error {
		dir = filepath.Join(dir, "sub")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		return errors.Join(put("", filepath.Join(dir, string(record)), data), put("", filepath.Join(dir, "record"), record))
	}},
}

// TestPlantedBugs: a check that finds nothing must be able to find something.
func TestPlantedBugs(t *testing.T) {
	for _, p := range planted {
		t.Run(p.name, func(t *testing.T) {
			_, bad := record(t, plantedWork(t, p.keep), false).hunt(t, 1, 400, -1, func(int, string) bool { return true })
			if p.good && bad > 0 {
				t.Errorf("%d bad states of something that is right", bad)
			}
			if !p.good && bad == 0 {
				t.Error("the mistake was not found")
			}
			t.Logf("%d bad of 400", bad)
		})
	}
}

func plantedWork(t *testing.T, keep func(dir string, data, record []byte) error) workload {
	r := rand.New(rand.NewPCG(1, 1))
	contents := make([][]byte, 6)
	for i := range contents {
		contents[i] = bytes.Repeat([]byte{byte('a' + i)}, 1+r.IntN(9000))
	}
	work := func(s *site) {
		for i, data := range contents {
			must(t, keep(s.dir, data, fmt.Appendf(nil, "data-%d", i)))
			s.mark("kept")
		}
	}
	check := func(dir string, marks []string) error {
		if _, err := os.Stat(filepath.Join(dir, "sub")); err == nil {
			dir = filepath.Join(dir, "sub")
		}
		record, err := os.ReadFile(filepath.Join(dir, "record"))
		if errors.Is(err, fs.ErrNotExist) && len(marks) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		n := -1
		if _, err := fmt.Sscanf(string(bytes.TrimLeft(record, "/")), "data-%d", &n); err != nil || n < len(marks)-1 || n > len(marks) {
			return fmt.Errorf("the record says %.20q after %d changes", record, len(marks))
		}
		data, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("data-%d", n)))
		if err != nil || !bytes.Equal(data, contents[n]) {
			return fmt.Errorf("the record names data that are not there: %v", err)
		}
		return nil
	}
	return workload{work, check}
}

// TestRecording compares what the file system under test holds in the end with what the record says, and does the same things again.
func TestRecording(t *testing.T) {
	w := siteWork(t, rand.New(rand.NewPCG(7, 7)))
	var shapes [2][]crash.Kind
	for i := range shapes {
		fs := mount(t)
		w.work(&site{t, fs, fs.Dir})
		live, err := filesOf(fs.Dir)
		must(t, err)
		log, err := fs.Log()
		must(t, err)
		states := crash.NewStates(log)
		state := states.State(crash.Crash{At: len(log.Ops), Block: 512, Keep: func(int, int) bool { return true }})
		dir := filepath.Join(scratch(t), "state")
		must(t, crash.Write(dir, state.Root))
		got, err := filesOf(dir)
		must(t, err)
		if len(live) == 0 || fmt.Sprint(got) != fmt.Sprint(live) {
			t.Errorf("the record holds %d files, the file system %d", len(got), len(live))
		}
		for _, o := range log.Ops {
			shapes[i] = append(shapes[i], o.Kind)
		}
	}
	if fmt.Sprint(shapes[0]) != fmt.Sprint(shapes[1]) {
		t.Error("the same work left another record: crash states can't be repeated")
	}
}
