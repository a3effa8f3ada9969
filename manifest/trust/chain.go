package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Roots returns the chain of roots that this site has followed: the one given at install first, the newest last.
func (c *Client) Roots() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.chain()
}

func (c *Client) chain() [][]byte {
	chain := append([][]byte{c.first}, c.state.Between...)
	if !bytes.Equal(c.state.Root, c.first) {
		chain = append(chain, c.state.Root)
	}
	return chain
}

// ReadFingerprint brings a fingerprint as people say and write it (spaces, dots and dashes anywhere, or none) into the form of Fingerprint.
func ReadFingerprint(text string) (string, error) {
	var digits strings.Builder
	for _, r := range text {
		switch {
		case r >= '0' && r <= '9':
			digits.WriteRune(r)
		case !strings.ContainsRune(" \t\u00a0.,-‐‑–—_/", r):
			return "", fmt.Errorf("a fingerprint is 16 digits, such as 7731-0482-9955-1206; %q is none of them", r)
		}
	}
	d := digits.String()
	if len(d) != 16 {
		return "", fmt.Errorf("a fingerprint is 16 digits, such as 7731-0482-9955-1206; this has %d", len(d))
	}
	return d[:4] + "-" + d[4:8] + "-" + d[8:12] + "-" + d[12:], nil
}

// RootVersion returns the number of a root that is valid in itself.
func RootVersion(root []byte) (int64, error) {
	m, err := selfSigned(root)
	if err != nil {
		return 0, err
	}
	return m.Signed.Version, nil
}

// RootExpires returns the moment until which a root that is valid in itself is good.
func RootExpires(root []byte) (time.Time, error) {
	m, err := selfSigned(root)
	if err != nil {
		return time.Time{}, err
	}
	return m.Signed.Expires, nil
}

// SourceRoots returns the roots that src has, 1 first. Each is valid in itself and follows the one before, but whose they are is for a
// fingerprint to say. A chain that breaks off ends before the root that does not follow. It fails when there is no root 1.
func SourceRoots(ctx context.Context, src Source) ([][]byte, error) {
	var chain [][]byte
	for n := int64(1); n <= maxRoots; n++ {
		path := versioned(n, metadata.ROOT)
		data, err := fetch(ctx, src, path, maxRoot, false)
		if errors.Is(err, fs.ErrNotExist) && n > 1 {
			break
		}
		if err != nil {
			return nil, err
		}
		root, err := selfSigned(data)
		if n == 1 && err != nil {
			return nil, err
		}
		if err != nil || root.Signed.Version != n || n > 1 && Follows(chain[n-2], data) != nil {
			break
		}
		chain = append(chain, data)
	}
	return chain, nil
}

// Follows reports whether the root next may replace root: it has the next number and enough keys of both have signed it.
func Follows(root, next []byte) error {
	a, err := selfSigned(root)
	if err != nil {
		return err
	}
	b, err := selfSigned(next)
	if err != nil {
		return err
	}
	if b.Signed.Version != a.Signed.Version+1 {
		return fmt.Errorf("root %d is %w: it can't come after root %d", b.Signed.Version, ErrDamaged, a.Signed.Version)
	}
	if err := a.VerifyDelegate(metadata.ROOT, b); err != nil {
		return fmt.Errorf("root %d is %w: not enough keys of root %d have signed it", b.Signed.Version, ErrForged, a.Signed.Version)
	}
	return nil
}

// FindRoot returns the place in chain of the root with this fingerprint (in the form of Fingerprint), -1 when there is none. The newest is
// looked at first.
func FindRoot(chain [][]byte, fingerprint string) (int, error) {
	for n, root := range slices.Backward(chain) {
		print, err := Fingerprint(root)
		if err != nil {
			return -1, err
		}
		if print == fingerprint {
			return n, nil
		}
	}
	return -1, nil
}

// SameRoot reports whether two documents are the same root, whatever signatures were added to it.
func SameRoot(a, b []byte) bool {
	x, errX := identity(a)
	y, errY := identity(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
