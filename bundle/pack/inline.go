package pack

import (
	"bytes"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
)

// inline is a small blob in memory as the library wants it.
type inline struct {
	data []byte
}

func (i inline) Digest() (v1.Hash, error) { return v1.NewHash(digest.FromBytes(i.data).String()) }

func (i inline) DiffID() (v1.Hash, error) { return i.Digest() }

func (i inline) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(i.data)), nil
}

func (i inline) Uncompressed() (io.ReadCloser, error) { return i.Compressed() }

func (i inline) Size() (int64, error) { return int64(len(i.data)), nil }

func (i inline) MediaType() (types.MediaType, error) { return types.OCILayer, nil }
