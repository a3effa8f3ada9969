package offsite

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
)

// Stored is a file at a place: its path from the place's top, and its size in bytes.
type Stored struct {
	Name string
	Size int64
}

// Place holds files. A file is there as a whole, or in another size than it should have, or not at all. Errors wrap one of this package's
// kinds, or fs.ErrNotExist (Get).
type Place interface {
	// List returns the files of a site.
	List(ctx context.Context, site string) ([]Stored, error)
	// Put stores what r yields, size bytes, in place of what has that name.
	Put(ctx context.Context, name string, size int64, r io.Reader) error
	// Get opens a file.
	Get(ctx context.Context, name string) (io.ReadCloser, error)
	// Delete removes a file; one that is not there is no error.
	Delete(ctx context.Context, name string) error
	Close() error
}

// Names of the settings that hold the keys of a bucket.
const (
	AccessKey = "DHOW_S3_ACCESS_KEY"
	SecretKey = "DHOW_S3_SECRET_KEY"
)

// markName is the file that makes a folder or a bucket a place.
const markName = "dhow-place.json"

const maxMark = 4 << 10

type mark struct {
	Format int    `json:"format"`
	About  string `json:"about"`
}

// OpenPlace opens a place by its name: the absolute path of a folder, or s3://HOST[:PORT]/BUCKET[/PREFIX] with the options ?region=NAME and
// ?insecure (no TLS). secret gives the settings AccessKey and SecretKey. It fails with ErrNoPlace when the place has no mark.
func OpenPlace(ctx context.Context, spec string, secret func(name string) string) (Place, error) {
	p, err := connect(spec, secret)
	if err != nil {
		return nil, fmt.Errorf("cannot use %s: %w", shown(spec), err)
	}
	if err := checkMark(ctx, p); err != nil {
		_ = p.Close()
		return nil, fmt.Errorf("cannot use %s: %w", shown(spec), err)
	}
	return p, nil
}

// Init marks a folder or a bucket as a place; a folder is made when the one that it stands in is there. Whoever calls this has seen that
// the stick is plugged in. A place that has its mark is left as it is.
func Init(ctx context.Context, spec string, secret func(name string) string) error {
	if err := initPlace(ctx, spec, secret); err != nil {
		return fmt.Errorf("cannot make %s a place for copies: %w", shown(spec), err)
	}
	return nil
}

func initPlace(ctx context.Context, spec string, secret func(name string) string) error {
	if filepath.IsAbs(spec) {
		if err := makeFolder(spec); err != nil {
			return err
		}
	}
	p, err := connect(spec, secret)
	if err != nil {
		return err
	}
	defer p.Close()
	err = checkMark(ctx, p)
	if !errors.Is(err, errNoMark) && !errors.Is(err, errBadMark) {
		return err
	}
	data, err := encode(mark{Format: Format, About: "Encrypted copies of backups made by Dhow. Do not change anything here."})
	if err != nil {
		return err
	}
	if err := p.Put(ctx, markName, int64(len(data)), bytes.NewReader(data)); err != nil {
		return err
	}
	return checkMark(ctx, p)
}

var (
	errNoMark  = fmt.Errorf("%w: it has no %s", ErrNoPlace, markName)
	errBadMark = fmt.Errorf("%w: its %s is damaged", ErrNoPlace, markName)
)

// checkMark looks for the mark: with a stick away its mount point is an empty folder, which must not be filled.
func checkMark(ctx context.Context, p Place) error {
	data, err := read(ctx, p, markName, maxMark)
	if errors.Is(err, fs.ErrNotExist) {
		return errNoMark
	}
	if err != nil {
		return err
	}
	var m mark
	if err := json.Unmarshal(data, &m); err != nil || m.Format < 1 {
		return errBadMark
	}
	if m.Format > Format {
		return fmt.Errorf("%w: its format is %d", ErrNewer, m.Format)
	}
	return nil
}

// read reads a small file.
func read(ctx context.Context, p Place, name string, limit int64) ([]byte, error) {
	r, err := p.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%w: %s is larger than %d bytes", ErrDamaged, name, limit)
	}
	return data, nil
}

// connect makes a Place of its name without asking for its mark.
func connect(spec string, secret func(name string) string) (Place, error) {
	if filepath.IsAbs(spec) {
		return openFolder(spec)
	}
	b, err := parseBucket(spec)
	if err != nil {
		return nil, err
	}
	b.access, b.secret = secret(AccessKey), secret(SecretKey)
	if b.access == "" || b.secret == "" {
		return nil, fmt.Errorf("%w: the settings %s and %s are needed", ErrDenied, AccessKey, SecretKey)
	}
	return openBucket(b, quietTime)
}

// bucket is where an S3 place is.
type bucket struct {
	host, name, prefix, region string
	insecure                   bool
	access, secret             string
}

var (
	bucketPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	regionPattern = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
	hostPattern   = regexp.MustCompile(`^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][A-Za-z0-9.-]*)(:[0-9]{1,5})?$`)
)

// CheckSpec reports whether spec can name a place, without looking at it.
func CheckSpec(spec string) error {
	if filepath.IsAbs(spec) {
		return nil
	}
	_, err := parseBucket(spec)
	return err
}

// parseBucket reads s3://HOST[:PORT]/BUCKET[/PREFIX][?insecure&region=NAME].
func parseBucket(spec string) (bucket, error) {
	fail := func(format string, args ...any) (bucket, error) {
		return bucket{}, fmt.Errorf("%w: "+format, append([]any{ErrSpec}, args...)...)
	}
	if len(spec) > 1024 {
		return fail("it is too long")
	}
	rest, ok := strings.CutPrefix(spec, "s3://")
	if !ok {
		return fail("it must be an absolute path, or begin with s3://")
	}
	rest, query, _ := strings.Cut(rest, "?")
	host, dir, _ := strings.Cut(strings.TrimSuffix(rest, "/"), "/")
	name, prefix, _ := strings.Cut(dir, "/")
	b := bucket{host: host, name: name, prefix: prefix}
	switch {
	case strings.Contains(host, "@"):
		return fail("keys do not belong into it: put %s and %s into site.env", AccessKey, SecretKey)
	case !hostPattern.MatchString(host):
		return fail("%.80q is not a host", host)
	case !bucketPattern.MatchString(name):
		return fail("%.80q is not a bucket", name)
	case prefix != "" && !localPath(prefix):
		return fail("%.80q is not a folder of a bucket", prefix)
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return fail("what follows ? can't be read")
	}
	for key, value := range values {
		switch {
		case key == "insecure" && len(value) == 1 && value[0] == "":
			b.insecure = true
		case key == "region" && len(value) == 1 && regionPattern.MatchString(value[0]):
			b.region = value[0]
		default:
			return fail("unknown option %.80q; insecure and region=NAME are known", key)
		}
	}
	return b, nil
}

// shown is the name of a place in errors: whatever stands before an @ in it could be a password.
func shown(spec string) string {
	scheme, rest, ok := strings.Cut(spec, "://")
	at := strings.LastIndex(rest, "@")
	if !ok || at < 0 {
		return spec
	}
	return scheme + "://…" + rest[at:]
}
