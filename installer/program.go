package installer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"dhow/bundle/durable"
	"dhow/manifest"
)

// Program is where the program is, and Link the name by which people call it; on Windows the program stays where it is started from. A package
// brings its program to Packaged, so that unpacking it replaces nothing that runs here.
const (
	Program  = "/usr/lib/dhow/dhow"
	Link     = "/usr/bin/dhow"
	Packaged = "/usr/lib/dhow/package/dhow"
)

// Unsaid is the version of a program that takes too long to say it, as on a disk that is slow or failing: it may be a newer one.
const Unsaid = "?"

// versionLimit is how long it may take, as a candidate may (see agent/self). Shorter in tests.
var versionLimit = 30 * time.Second

// PutProgram puts the program that runs in the place of Program, in one step, and makes Link. One that is there and is newer stays: newer is its version
// then, or Unsaid. One that can't be run is replaced. It may be repeated, whatever moment the power failed at.
func PutProgram(ctx context.Context, version string) (done Done, newer string, err error) {
	if runtime.GOOS == "windows" {
		return Kept, "", nil
	}
	from, err := os.Executable()
	if err == nil {
		from, err = filepath.EvalSymlinks(from)
	}
	if err != nil {
		return "", "", fmt.Errorf("cannot find the program that runs: %w", err)
	}
	if done, newer, err = putProgram(ctx, from, Program, version, from == Packaged); err != nil {
		return "", "", err
	}
	want, err := filepath.Rel(filepath.Dir(Link), Program)
	if err != nil {
		return "", "", err
	}
	switch target, err := os.Readlink(Link); {
	case err == nil && target == want:
		return done, newer, nil
	case err == nil || !errors.Is(err, os.ErrNotExist):
		if err := os.Remove(Link); err != nil {
			return "", "", fmt.Errorf("cannot replace %s: %w", Link, err)
		}
	}
	if err := os.Symlink(want, Link); err != nil {
		return "", "", fmt.Errorf("cannot make the link %s: %w", Link, err)
	}
	if done == Kept {
		done = Repaired
	}
	return done, newer, durable.SyncDir(filepath.Dir(Link))
}

// putProgram puts the file from over to, unless that is the same or newer: as a copy, or with link, where that can be done, as a second name.
func putProgram(ctx context.Context, from, to, version string, link bool) (done Done, newer string, err error) {
	done = Made
	if _, err := os.Stat(to); err == nil {
		done = Repaired
		if from == to {
			return Kept, "", nil
		}
		if equal, err := sameFiles(from, to); err != nil || equal {
			return Kept, "", err
		}
		there := versionOf(ctx, to)
		if err := ctx.Err(); err != nil {
			return "", "", err
		}
		if there == Unsaid || isNewer(there, version) {
			return Kept, there, nil
		}
	}
	if err := durable.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return "", "", fmt.Errorf("cannot put the program in place: %w", err)
	}
	f, err := os.Open(from)
	if err != nil {
		return "", "", fmt.Errorf("cannot put the program in place: %w", err)
	}
	defer f.Close()
	if link {
		if err := linkProgram(f, to); err == nil {
			return done, "", nil
		}
	}
	err = durable.Write(to, 0o755, func(w io.Writer) error {
		_, err := io.Copy(w, f)
		return err
	})
	if err != nil {
		return "", "", fmt.Errorf("cannot put the program in place: %w", err)
	}
	return done, "", nil
}

// linkProgram puts a second name of a file in the place of to, which takes no room on the disk. It is for files that are only ever replaced.
func linkProgram(f *os.File, to string) error {
	if err := f.Sync(); err != nil { // rpm does not
		return err
	}
	tmp := filepath.Join(filepath.Dir(to), durable.TempPrefix+"put")
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Link(f.Name(), tmp); err != nil {
		return err
	}
	return durable.Rename(tmp, to)
}

// isNewer is false where a version can't be told.
func isNewer(there, mine string) bool {
	a, err := manifest.ParseVersion(there)
	if err != nil {
		return false
	}
	b, err := manifest.ParseVersion(mine)
	return err == nil && manifest.CompareVersions(a, b) > 0
}

// versionOf asks a program for its version; one that can't be run has none.
func versionOf(ctx context.Context, program string) string {
	ctx, cancel := context.WithTimeout(ctx, versionLimit)
	defer cancel()
	var answer struct {
		Version string `json:"version"`
	}
	out, err := exec.CommandContext(ctx, program, "version", "--json").Output()
	if err != nil && ctx.Err() != nil {
		return Unsaid
	}
	if err != nil || json.Unmarshal(out, &answer) != nil {
		return ""
	}
	return answer.Version
}

func sameFiles(a, b string) (bool, error) {
	fa, err := os.Open(a)
	if err != nil {
		return false, err
	}
	defer fa.Close()
	fb, err := os.Open(b)
	if err != nil {
		return false, err
	}
	defer fb.Close()
	bufA, bufB := make([]byte, 1<<16), make([]byte, 1<<16)
	for {
		n, errA := io.ReadFull(fa, bufA)
		m, errB := io.ReadFull(fb, bufB)
		if !bytes.Equal(bufA[:n], bufB[:m]) {
			return false, nil
		}
		if errA != nil || errB != nil {
			// A read that fails means: not the same, write it again.
			end := func(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
			return end(errA) && end(errB), nil
		}
	}
}

// Owner is the command that removes the program where a package has brought it, else empty: it is the package manager's to remove.
func Owner() string {
	return ownerOf(exists(Packaged), func(name string, args ...string) bool { return exec.Command(name, args...).Run() == nil })
}

func ownerOf(packaged bool, works func(name string, args ...string) bool) string {
	switch {
	case !packaged:
		return ""
	case works("dpkg-query", "--search", Packaged):
		return "sudo apt remove " + Name
	}
	for _, manager := range []string{"dnf", "zypper"} {
		if works(manager, "--version") {
			return "sudo " + manager + " remove " + Name
		}
	}
	return "sudo rpm -e " + Name
}

// RemoveProgram takes the program and its link away, with the files that are beside it. What a package has brought is left to the package (see Owner).
func RemoveProgram() error {
	if runtime.GOOS == "windows" || exists(Packaged) {
		return nil
	}
	if err := os.Remove(Link); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot remove %s: %w", Link, err)
	}
	if err := os.RemoveAll(filepath.Dir(Program)); err != nil {
		return fmt.Errorf("cannot remove the program: %w", err)
	}
	return nil
}
