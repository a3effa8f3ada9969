package backup

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"dhow/agent/fault"
	"dhow/bundle/durable"
)

// streamsDir holds the volumes that could only be had as tars.
const streamsDir = "streams"

// Stream is a volume whose files cannot be reached: it is kept as the tar that the engine made of it, in the file streams/NAME.tar. Bytes is its
// length and SHA256 its digest (hex). Content is a digest (hex) of what the tar says of names, owners, modes, times in seconds, links and
// contents: equal for two tars of the same files. About is what the caller needs to make the volume again.
type Stream struct {
	Name    string          `json:"name"`
	Bytes   int64           `json:"bytes"`
	SHA256  string          `json:"sha256"`
	Content string          `json:"content"`
	About   json.RawMessage `json:"about,omitempty"`
}

func (s Stream) check() error {
	if checkName(s.Name) != nil || s.Bytes < 0 || !isDigest(s.SHA256) || !isDigest(s.Content) {
		return fmt.Errorf("stream %q", s.Name)
	}
	return nil
}

func streamPath(dir, name string) string { return filepath.Join(dir, streamsDir, name+".tar") }

// SaveStream puts the tar of a volume into the snapshot folder dir, in place of one that is there, and describes it for Info.Streams. A tar
// that breaks off is an error. A finished snapshot in dir must have been given up (see CopyAhead).
func SaveStream(ctx context.Context, dir, name string, r io.Reader, p Progress) (Stream, error) {
	s := Stream{Name: name}
	if err := checkName(name); err != nil {
		return s, err
	}
	file := streamPath(dir, name)
	if err := durable.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return s, fmt.Errorf("cannot save volume %s: %w", name, err)
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) { // there may not be room for both
		return s, fmt.Errorf("cannot save volume %s: %w", name, err)
	}
	whole := sha256.New()
	m := &meter{tell: p}
	err := durable.Write(file, 0o600, func(w io.Writer) (err error) {
		buf := bufio.NewWriterSize(w, bufferSize)
		in := &tarReader{ctx: ctx, r: r, copy: io.MultiWriter(buf, whole), meter: m}
		if s.Content, err = in.digest(); err != nil {
			return err
		}
		s.Bytes = in.n
		return errors.Join(buf.Flush(), fault.Point("backup/stream"))
	})
	if err != nil {
		return s, fmt.Errorf("cannot save volume %s: %w", name, err)
	}
	s.SHA256 = hex.EncodeToString(whole.Sum(nil))
	return s, nil
}

// OpenStream opens the tar of a volume in the finished snapshot in dir, after it has read all of it and found it right (ErrDamaged).
func OpenStream(ctx context.Context, dir string, s Stream) (io.ReadCloser, error) {
	if err := verifyStream(ctx, dir, s); err != nil {
		return nil, err
	}
	return os.Open(streamPath(dir, s.Name))
}

// CheckStream compares the tar of a volume, as it is read from the volume now, with the one that was saved.
func CheckStream(ctx context.Context, s Stream, r io.Reader) error {
	content, err := (&tarReader{ctx: ctx, r: r, copy: io.Discard, meter: &meter{}}).digest()
	if err == nil && content != s.Content {
		err = errors.New("it does not hold what was put into it")
	}
	if err != nil {
		return fmt.Errorf("cannot check volume %s: %w", s.Name, err)
	}
	return nil
}

func verifyStream(ctx context.Context, dir string, s Stream) error {
	f, err := os.Open(streamPath(dir, s.Name))
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return fmt.Errorf("cannot verify volume %s: %w", s.Name, err)
	}
	defer f.Close()
	sum := sha256.New()
	in := &tarReader{ctx: ctx, r: f, copy: sum, meter: &meter{}}
	_, err = io.Copy(io.Discard, in)
	if err == nil && (in.n != s.Bytes || hex.EncodeToString(sum.Sum(nil)) != s.SHA256) {
		err = ErrDamaged
	}
	if err != nil {
		return fmt.Errorf("cannot verify volume %s: %w", s.Name, err)
	}
	return nil
}

// tarReader passes a tar on to copy while it is read, and counts it.
type tarReader struct {
	ctx   context.Context
	r     io.Reader
	copy  io.Writer
	meter *meter
	n     int64
	tail  []byte // the last bytes
}

// trailer is how every tar ends.
var trailer = make([]byte, 1024)

func (t *tarReader) Read(b []byte) (int, error) {
	if err := t.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := t.r.Read(b)
	if n > 0 {
		if _, err := t.copy.Write(b[:n]); err != nil {
			return n, err
		}
		t.n += int64(n)
		t.meter.add(int64(n))
		t.tail = append(t.tail, b[max(0, n-len(trailer)):n]...)
		t.tail = t.tail[max(0, len(t.tail)-len(trailer)):]
	}
	return n, err
}

// digest reads all of the tar and returns the digest of what it says.
func (t *tarReader) digest() (string, error) {
	sum := sha256.New()
	for in := tar.NewReader(t); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		if err := describeTar(sum, h, in); err != nil {
			return "", err
		}
	}
	if _, err := io.Copy(io.Discard, t); err != nil {
		return "", err
	}
	if !bytes.Equal(t.tail, trailer) {
		return "", io.ErrUnexpectedEOF
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func describeTar(sum hash.Hash, h *tar.Header, content io.Reader) error {
	fmt.Fprintf(sum, "%q %c %o %d %d %d %d %q %d %d\n", h.Name, h.Typeflag, h.Mode, h.Uid, h.Gid, h.Size, h.ModTime.Unix(), h.Linkname, h.Devmajor, h.Devminor)
	one := sha256.New()
	if _, err := io.Copy(one, content); err != nil {
		return err
	}
	sum.Write(one.Sum(nil))
	return nil
}
