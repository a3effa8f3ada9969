package fetch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"dhow/bundle"
)

// Open opens a source:
//
//	oci://HOST/PATH             a repository; plain http for loopback hosts only, or with ?insecure behind it
//	https://HOST/PATH, http://  a web folder with the layout of package bundle
//	a folder                    with that layout, or one with bundle files, of which the one with the newest release is opened
//	a file                      a bundle (.tar, .tgz, .tar.zst) or what docker save has written; recognised by content, not by name;
//	                            or any part of a bundle in parts (package split), or its .sums file
//
// Nothing is asked of a network yet. A path that is not there, such as a stick that is not plugged in, fails with bundle.ErrUnreachable,
// a folder with several bundles of which none can be chosen with ErrSeveral.
//
// It is the short form for programs that open a source once; one that comes back uses a Network.
func Open(ctx context.Context, spec string) (bundle.Source, error) {
	return NewNetwork().Open(ctx, spec)
}

func (n *Network) open(ctx context.Context, spec string) (bundle.Source, error) {
	scheme, _, found := strings.Cut(spec, "://")
	switch {
	case spec == "":
		return nil, errors.New("it has no name")
	case found && strings.EqualFold(scheme, "oci"):
		return n.openRegistry(spec)
	case found && (strings.EqualFold(scheme, "https") || strings.EqualFold(scheme, "http")):
		return n.openWeb(spec)
	case found && strings.EqualFold(scheme, "file"):
		u, err := url.Parse(spec)
		if err != nil || u.Host != "" {
			return nil, errors.New("it is not a file:// address of this computer")
		}
		return openPath(ctx, u.Path)
	case found:
		return nil, fmt.Errorf("unknown kind %q: it must begin with oci://, https:// or http://, or be a path", scheme)
	}
	return openPath(ctx, spec)
}

func openPath(ctx context.Context, path string) (bundle.Source, error) {
	info, err := wait(ctx, paths, path, func() (os.FileInfo, error) { return os.Stat(path) }, nil)
	if inParts(path) && (err != nil || !info.IsDir()) { // the part that was named may be the one that is lost
		return openArchive(ctx, path)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", bundle.ErrUnreachable, err)
	}
	switch {
	case info.Mode().IsRegular():
		return openArchive(ctx, path)
	case !info.IsDir():
		return nil, errors.New("it is neither a file nor a folder")
	}
	for _, p := range []string{bundle.MetadataDir, bundle.OCILayoutPath} {
		if _, err := os.Lstat(filepath.Join(path, p)); err == nil {
			return openFolder(ctx, path)
		}
	}
	file, err := bundleIn(ctx, path)
	if err != nil {
		return nil, err
	}
	return openArchive(ctx, file)
}

// Redact takes a password out of an address.
func Redact(spec string) string {
	if u, err := url.Parse(spec); err == nil && u.User != nil {
		return u.Redacted()
	}
	return spec
}

// unreadable classifies an error of reading a local file or folder: what is not there is not there, anything else is a source that does
// not answer (a stick that was pulled out, a disk that fails, a folder that this user may not read).
func unreadable(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("%w: %w", bundle.ErrUnreachable, err)
}

// absent is a fs.ErrNotExist in words of its own.
type absent string

func (a absent) Error() string { return string(a) }

func (a absent) Is(target error) bool { return target == fs.ErrNotExist }

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
