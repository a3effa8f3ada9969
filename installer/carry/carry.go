// Package carry puts what makes a computer a site beside a bundle: a POSIX shell script, the site's program for every platform of the fleet,
// and their sums. A technician runs the script from the stick; it needs nothing that is not on the computer, and works from
// sticks that are mounted so that nothing on them can be run.
//
//	install                            the script; beside a bundle that is a file, inside one that is a folder
//	dhow-programs/dhow-linux-amd64     the programs, as scripts/release names them
//	dhow-programs/SHA256SUMS           of the programs, in the format of sha256sum
//	dhow-programs/sources              where the site will look for news, a line each; not there when only sticks will bring it
//
// The script trusts the stick as whoever runs it does: with the program comes whatever root may do. What the fleet is, and what it runs,
// dhow install takes from the signed documents in the bundle, after a person has compared the fingerprint.
package carry

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"dhow/bundle"
	"dhow/bundle/durable"
)

// Names of what is written.
const (
	Script   = "install"
	Programs = "dhow-programs"
)

//go:embed install.sh
var script string

// Contents is what is put beside a bundle.
type Contents struct {
	Bundle   string   // name of the bundle's file; empty when the folder itself is the bundle
	Sources  []string // oci://HOST/PATH, https://…
	Programs []Program
}

// Program is dhow for a platform of OCI, such as linux/arm/v7.
type Program struct {
	Platform string
	Open     func() (io.ReadCloser, error)
}

// FileName is how a program is called here and by scripts/release: "dhow-linux-armv7".
func (p Program) FileName() string {
	return "dhow-" + strings.ReplaceAll(strings.Replace(p.Platform, "/v", "v", 1), "/", "-")
}

// Write puts it into dir. The programs come first and the script last: what is cut short can't be run. It returns how many bytes the
// programs have.
func Write(ctx context.Context, dir string, c Contents) (size int64, err error) {
	for _, s := range c.Sources {
		if strings.ContainsAny(s, "\r\n") || s == "" {
			return 0, fmt.Errorf("cannot write the installer: %q is no source", s)
		}
	}
	if strings.ContainsAny(c.Bundle, "\r\n") {
		return 0, fmt.Errorf("cannot write the installer: %q is no name for a bundle", c.Bundle)
	}
	if len(c.Programs) == 0 {
		return 0, errors.New("cannot write the installer: there is no program for any platform")
	}
	if size, err = write(ctx, dir, c); err != nil {
		return 0, fmt.Errorf("cannot write the installer: %w", err)
	}
	return size, nil
}

func write(ctx context.Context, dir string, c Contents) (size int64, err error) {
	programs := filepath.Join(dir, Programs)
	if err := durable.MkdirAll(programs, 0o755); err != nil {
		return 0, err
	}
	var sums bytes.Buffer
	for _, p := range slices.SortedFunc(slices.Values(c.Programs), func(a, b Program) int { return strings.Compare(a.Platform, b.Platform) }) {
		sum, n, err := put(ctx, filepath.Join(programs, p.FileName()), p)
		if err != nil {
			return 0, err
		}
		size += n
		fmt.Fprintf(&sums, "%s  %s\n", sum, p.FileName())
	}
	if err := durable.WriteFile(filepath.Join(programs, "SHA256SUMS"), sums.Bytes(), 0o644); err != nil {
		return 0, err
	}
	sources := filepath.Join(programs, "sources")
	if len(c.Sources) > 0 {
		err = durable.WriteFile(sources, []byte(strings.Join(c.Sources, "\n")+"\n"), 0o644)
	} else if err = os.Remove(sources); errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return 0, err
	}
	text := strings.NewReplacer("@BUNDLE@", quote(c.Bundle), "@PROGRAMS@", Programs).Replace(script)
	return size, durable.WriteFile(filepath.Join(dir, Script), []byte(text), 0o755)
}

func put(ctx context.Context, path string, p Program) (sum string, size int64, err error) {
	from, err := p.Open()
	if err != nil {
		return "", 0, err
	}
	defer from.Close()
	h := sha256.New()
	err = durable.Write(path, 0o755, func(w io.Writer) error {
		size, err = io.Copy(io.MultiWriter(w, h), bundle.WithContext(ctx, from))
		return err
	})
	return hex.EncodeToString(h.Sum(nil)), size, err
}

// quote makes s one word of a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
