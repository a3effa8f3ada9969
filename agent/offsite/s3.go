package offsite

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"dhow/agent/fault"
)

// s3 is a Place in a bucket. Stores should show an object only when all of it has arrived. Some show the beginning of one whose line broke
// under TLS, where minio-go signs no content: that such a one is too short is seen in the list.
type s3 struct {
	core   *minio.Core
	line   *http.Transport
	bucket string
	prefix string
}

func openBucket(b bucket, quiet time.Duration) (*s3, error) {
	line := newLine(quiet)
	core, err := minio.NewCore(b.host, &minio.Options{
		Creds: credentials.NewStaticV4(b.access, b.secret, ""), Secure: !b.insecure, Region: b.region,
		Transport: bounded{line}, MaxRetries: 1, // it is the caller who tries again
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSpec, err)
	}
	return &s3{core: core, line: line, bucket: b.name, prefix: b.prefix}, nil
}

func (s *s3) Close() error {
	s.line.CloseIdleConnections()
	return nil
}

func (s *s3) key(name string) string { return path.Join(s.prefix, name) }

func (s *s3) List(ctx context.Context, site string) ([]Stored, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the listing when it is left early
	top := s.key(site) + "/"
	var out []Stored
	for o := range s.core.Client.ListObjects(ctx, s.bucket, minio.ListObjectsOptions{Prefix: top, Recursive: true}) {
		if o.Err != nil {
			return nil, fmt.Errorf("cannot list bucket %s: %w", s.bucket, s.meant(o.Err))
		}
		if rest, ok := strings.CutPrefix(o.Key, top); ok && localPath(rest) {
			out = append(out, Stored{Name: site + "/" + rest, Size: o.Size})
		}
		if len(out) > maxFiles {
			return nil, fmt.Errorf("cannot list bucket %s: %w: more than %d files", s.bucket, ErrDamaged, maxFiles)
		}
	}
	return out, ctx.Err()
}

func (s *s3) Put(ctx context.Context, name string, size int64, r io.Reader) error {
	if !localPath(name) {
		return fmt.Errorf("internal error: %.80q is not a name for a place", name)
	}
	err := fault.Point("offsite/bucket-begin")
	if err == nil {
		_, err = s.core.PutObject(ctx, s.bucket, s.key(name), io.NopCloser(r), size, "", "", minio.PutObjectOptions{ContentType: "application/octet-stream"})
	}
	if err == nil {
		err = fault.Point("offsite/bucket-done")
	}
	if err != nil {
		return fmt.Errorf("cannot send %s to bucket %s: %w", name, s.bucket, s.meant(err))
	}
	return nil
}

func (s *s3) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	r, _, _, err := s.core.GetObject(ctx, s.bucket, s.key(name), minio.GetObjectOptions{})
	if err != nil {
		return nil, fmt.Errorf("cannot get %s from bucket %s: %w", name, s.bucket, s.meant(err))
	}
	return &body{ReadCloser: r, s: s, name: name}, nil
}

// body says that an error in the middle of an object is one of the line.
type body struct {
	io.ReadCloser
	s    *s3
	name string
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("cannot get %s from bucket %s: %w", b.name, b.s.bucket, b.s.meant(err))
	}
	return n, err
}

func (s *s3) Delete(ctx context.Context, name string) error {
	err := s.core.RemoveObject(ctx, s.bucket, s.key(name), minio.RemoveObjectOptions{})
	if err == nil {
		return nil
	}
	if err = s.meant(err); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("cannot delete %s in bucket %s: %w", name, s.bucket, err)
}

// meant says what an error of the store or of the line means. What no rule knows is the line's: trying again does no harm.
func (s *s3) meant(err error) error {
	for _, kept := range []error{context.Canceled, context.DeadlineExceeded, ErrSource} {
		if errors.Is(err, kept) {
			return err
		}
	}
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid) || errors.As(err, &certificate) {
		return fmt.Errorf("%w: its certificate can't be trusted: %w", ErrDenied, err)
	}
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	switch answer.Code {
	case "NoSuchKey", "NoSuchVersion":
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	case "NoSuchBucket":
		return fmt.Errorf("%w: there is no bucket %s", ErrNoPlace, s.bucket)
	case "RequestTimeTooSkewed":
		return fmt.Errorf("%w: the clock of this computer is wrong: %w", ErrDenied, err)
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "XAdminUserNotFound":
		return fmt.Errorf("%w: the access key or the secret key is wrong: %w", ErrDenied, err)
	case "QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "EntityTooLarge":
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	switch code := answer.StatusCode; {
	case code == http.StatusInsufficientStorage:
		return fmt.Errorf("%w: %w", ErrFull, err)
	case code == http.StatusRequestTimeout || code == http.StatusTooManyRequests || code >= 500 || code == 0 || code < 400:
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return fmt.Errorf("%w: %w", ErrDenied, err)
}
