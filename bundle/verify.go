package bundle

import (
	"context"
	"fmt"
	"hash"
	"io"

	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

// Verifier reads content and compares it with what it should be while it passes by.
type Verifier struct {
	r    io.Reader
	want manifest.Blob
	what string
	hash hash.Hash
	n    int64
	err  error
}

// NewVerifier returns a reader of r that returns an error in place of EOF unless the content has the length and digest of want. It never
// returns more than want.Size bytes. what names the content in errors.
func NewVerifier(r io.Reader, want manifest.Blob, what string) *Verifier {
	return &Verifier{r: r, want: want, what: what, hash: digest.SHA256.Hash()}
}

// Read implements io.Reader. The errors of r are returned as they are.
func (v *Verifier) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if left := v.want.Size - v.n; left == 0 {
		v.err = v.end()
		return 0, v.err
	} else if int64(len(p)) > left {
		p = p[:left]
	}
	n, err := v.r.Read(p)
	v.hash.Write(p[:n])
	v.n += int64(n)
	if err == io.EOF {
		err = v.check()
	}
	v.err = err
	return n, err
}

// end is called after want.Size bytes: nothing may follow.
func (v *Verifier) end() error {
	var one [1]byte
	for range 100 {
		n, err := v.r.Read(one[:])
		if n > 0 {
			return fmt.Errorf("%s is %w: longer than the %d bytes that it should have", v.what, ErrDamaged, v.want.Size)
		}
		if err == io.EOF {
			return v.check()
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// check compares what was read up to EOF.
func (v *Verifier) check() error {
	if v.n != v.want.Size {
		return fmt.Errorf("%s is %w: it has %d bytes, not %d", v.what, ErrDamaged, v.n, v.want.Size)
	}
	if got := digest.NewDigest(digest.SHA256, v.hash); got != v.want.Digest {
		return fmt.Errorf("%s is %w: its content has the digest %s", v.what, ErrDamaged, got)
	}
	return io.EOF
}

// readCloser is a reader with another thing's Close.
type readCloser struct {
	io.Reader
	close func() error
}

func (r readCloser) Close() error { return r.close() }

// contextReader fails once its context has ended.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

// WithContext returns a reader of r that fails with the cause of ctx once that has ended.
func WithContext(ctx context.Context, r io.Reader) io.Reader { return &contextReader{ctx, r} }

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}
