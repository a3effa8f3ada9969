package delta

import (
	"hash"
	"io"
)

// countingWriter counts and hashes what passes.
type countingWriter struct {
	w    io.Writer
	hash hash.Hash
	n    int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	c.hash.Write(p[:n])
	return n, err
}

// joined is several layers as one address space.
type joined struct {
	layers []Layer
	starts []int64
	size   int64
}

func join(layers []Layer) *joined {
	j := &joined{layers: layers}
	for _, l := range layers {
		j.starts = append(j.starts, j.size)
		j.size += l.Size
	}
	return j
}

// ReadAt implements io.ReaderAt.
func (j *joined) ReadAt(p []byte, at int64) (int, error) {
	done := 0
	for i, l := range j.layers {
		from := at + int64(done) - j.starts[i]
		if done == len(p) || from < 0 || from >= l.Size {
			continue
		}
		want := p[done:min(int64(len(p)), int64(done)+l.Size-from)]
		n, err := l.Tar.ReadAt(want, from)
		done += n
		if n < len(want) {
			if err == io.EOF || err == nil {
				err = io.ErrUnexpectedEOF
			}
			return done, err
		}
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}
