package bundle

import (
	"context"
	"errors"
	"io"

	"dhow/manifest"
)

// Source is where a site gets documents and bytes from: a registry, a web folder, a folder or a file on a stick.
// Nothing that it returns is trusted: documents are verified by manifest/trust, blobs by their digest.
type Source interface {
	// Name is how people know the source, for example "oci://registry.example.org/emr" or "/media/usb/emr.tgz".
	Name() string
	// Document returns a small signed file by its path in the layout of Layout, at most limit bytes.
	// It fails with fs.ErrNotExist when the source answers and does not have it, ErrTooLarge above the limit,
	// and an error that wraps ErrUnreachable when the source does not answer.
	Document(ctx context.Context, path string, limit int64) ([]byte, error)
	// Blob opens the content of b from offset on. The reader may end early; callers check length and digest.
	Blob(ctx context.Context, b manifest.Blob, offset int64) (io.ReadCloser, error)
	Close() error
}

// Streamer is a Source that is read best once from front to back, such as a compressed archive.
type Streamer interface {
	Source
	// Each calls take for every blob that the source holds and stops at the first error. d is the name that the
	// source gives the content, or empty where it gives none (a file of docker save): unverified in both cases.
	Each(ctx context.Context, take func(d string, size int64, r io.Reader) error) error
}

// Errors of sources and archives. Callers add the source's name and the cause.
var (
	ErrUnreachable = errors.New("source does not answer")
	ErrTooLarge    = errors.New("larger than allowed")
	ErrDamaged     = errors.New("damaged")
	ErrUnsafePath  = errors.New("path outside its folder")
	ErrNoMetadata  = errors.New("holds no signed manifest")
)
