package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"dhow/bundle"
	"dhow/manifest"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/opencontainers/go-digest"
)

// Bounds of the artifact that lists the documents.
const (
	maxArtifact  = 4 << 20
	maxDocuments = 10_000
)

// Repository reads "oci://HOST/PATH" or "HOST/PATH", with "?insecure" behind it where plain http is wanted. plain says whether plain http
// is allowed: it is for loopback hosts, too.
func Repository(spec string) (repo name.Repository, plain bool, err error) {
	rest := spec
	if scheme, after, found := strings.Cut(spec, "://"); found {
		if !strings.EqualFold(scheme, "oci") {
			return repo, false, fmt.Errorf("%q is not an oci:// address", spec)
		}
		rest = after
	}
	rest, query, _ := strings.Cut(rest, "?")
	if query != "" && query != "insecure" {
		return repo, false, fmt.Errorf("unknown option %q in the address", query)
	}
	host, path, _ := strings.Cut(strings.TrimSuffix(rest, "/"), "/")
	if host == "" || path == "" || strings.Contains(host, "@") {
		return repo, false, errors.New("the address must look like oci://HOST/PATH")
	}
	plain = query == "insecure" || loopback(host)
	var opts []name.Option
	if plain {
		opts = append(opts, name.Insecure)
	}
	if _, err = name.NewRepository("registry.example.org/"+path, name.StrictValidation); err != nil {
		return repo, false, fmt.Errorf("%q is not the name of a repository (lower case, no tag)", path)
	}
	registry, err := name.NewRegistry(host, append(opts, name.StrictValidation)...)
	if err != nil {
		return repo, false, fmt.Errorf("%q is not the name of a registry", host)
	}
	return registry.Repo(path), plain, nil
}

// loopback reports whether a host, maybe with a port, is this computer.
func loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return ip != nil && ip.IsLoopback()
}

// registry is a repository whose tag "manifest" lists the documents, and which holds every blob.
type registry struct {
	net    *Network
	name   string
	repo   name.Repository
	plain  bool
	mirror bool // of another one

	mu   sync.Mutex
	docs map[string]manifest.Blob // what the tag said when it was asked; asked once
}

func (n *Network) openRegistry(spec string) (*registry, error) {
	repo, plain, err := Repository(spec)
	if err != nil {
		return nil, err
	}
	return &registry{net: n, name: "oci://" + repo.Name(), repo: repo, plain: plain}, nil
}

func (r *registry) Name() string { return r.name }

// Distance is how far away it is, see Reach.
func (r *registry) Distance() Distance {
	d := hostDistance(r.repo.RegistryStr())
	if d == Line && r.mirror {
		return Mirror
	}
	return d
}

func (r *registry) Close() error {
	r.net.Close()
	return nil
}

// connect returns what asks the registry, and the address of something in the repository.
func (r *registry) connect(ctx context.Context, kind, what string) (*getter, string, error) {
	l, err := r.net.logIn(ctx, r.repo, r.plain)
	if err != nil {
		return nil, "", err
	}
	u := url.URL{Scheme: l.scheme, Host: l.host(), Path: "/v2/" + r.repo.RepositoryStr() + "/" + kind + "/" + what}
	return &getter{l.client()}, u.String(), nil
}

// documents asks for the tag "manifest".
func (r *registry) documents(ctx context.Context) (map[string]manifest.Blob, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.docs != nil {
		return r.docs, nil
	}
	get, address, err := r.connect(ctx, "manifests", bundle.ManifestTag)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Minute, fmt.Errorf("%w: it is too slow", bundle.ErrUnreachable))
	defer cancel()
	header := http.Header{"Accept": {bundle.OCIManifestMediaType}}
	data, same := r.net.unchangedTag(ctx, get, address, header, maxArtifact)
	if !same {
		data, err = r.net.whenChanged(ctx, get, address, header, maxArtifact)
		// A registry that keeps tags in plain files (Debian's docker-registry does) fails for some milliseconds while one is replaced.
		for pause := 50 * time.Millisecond; errors.Is(err, errFailed) && pause < time.Second; pause *= 3 {
			if err = sleep(ctx, pause); err == nil {
				data, err = r.net.whenChanged(ctx, get, address, header, maxArtifact)
			}
		}
	}
	if err != nil {
		if isNotExist(err) {
			return nil, fmt.Errorf("the repository %w: it has no tag %q", bundle.ErrNoMetadata, bundle.ManifestTag)
		}
		return nil, r.refused(err)
	}
	r.docs, err = parseArtifact(data)
	return r.docs, err
}

// refused forgets a login that does not let in any more.
func (r *registry) refused(err error) error {
	if !errors.Is(err, ErrRefused) {
		return err
	}
	return r.net.refused(r.repo, r.plain, err)
}

// parseArtifact reads the OCI manifest that lists the documents.
func parseArtifact(data []byte) (map[string]manifest.Blob, error) {
	var m struct {
		ArtifactType string `json:"artifactType"`
		Layers       []struct {
			manifest.Blob
			Annotations map[string]string `json:"annotations"`
		} `json:"layers"`
	}
	if len(data) > maxArtifact {
		return nil, fmt.Errorf("the tag %q is %w: %d bytes", bundle.ManifestTag, bundle.ErrTooLarge, len(data))
	}
	limits := manifest.JSONLimits{Size: maxArtifact, Depth: 8, Values: 40 * maxDocuments}
	if err := manifest.CheckJSON(data, limits); err != nil {
		return nil, fmt.Errorf("the tag %q is %w: %w", bundle.ManifestTag, bundle.ErrDamaged, err)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("the tag %q is %w: it is no list of documents", bundle.ManifestTag, bundle.ErrDamaged)
	}
	if m.ArtifactType != bundle.ManifestArtifactType {
		return nil, fmt.Errorf("the repository %w: its tag %q is something else", bundle.ErrNoMetadata, bundle.ManifestTag)
	}
	if len(m.Layers) > maxDocuments {
		return nil, fmt.Errorf("the tag %q is %w: %d documents", bundle.ManifestTag, bundle.ErrTooLarge, len(m.Layers))
	}
	docs := make(map[string]manifest.Blob, len(m.Layers))
	for _, l := range m.Layers {
		path := l.Annotations[bundle.TitleAnnotation]
		if !bundle.IsDocument(path) {
			return nil, fmt.Errorf("the tag %q names %q: %w", bundle.ManifestTag, path, bundle.ErrUnsafePath)
		}
		if _, twice := docs[path]; twice || !bundle.IsDigest(l.Digest) || l.Size < 0 {
			return nil, fmt.Errorf("the tag %q is %w at %s", bundle.ManifestTag, bundle.ErrDamaged, path)
		}
		docs[path] = l.Blob
	}
	return docs, nil
}

func (r *registry) Document(ctx context.Context, path string, limit int64) ([]byte, error) {
	data, err := r.document(ctx, path, limit)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot read %s: %w", r.name, path, err)
	}
	return data, nil
}

func (r *registry) document(ctx context.Context, path string, limit int64) ([]byte, error) {
	docs, err := r.documents(ctx)
	if err != nil {
		return nil, err
	}
	b, ok := docs[path]
	if !ok {
		if d, found := bundle.DocumentDigest(path); found {
			return r.byDigest(ctx, d, limit)
		}
		return nil, absent("it is not there")
	}
	if b.Size > limit {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", bundle.ErrTooLarge, b.Size, limit)
	}
	question := r.name + " " + b.Digest.String()
	if old := r.net.recall(question, limit); old != nil {
		return old.data, nil
	}
	ctx, stop, alive := stallContext(ctx, stallTimeout)
	defer stop()
	body, err := r.Blob(ctx, b, 0)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	data, err := io.ReadAll(bundle.NewVerifier(aliveReader{body, alive}, b, path))
	if err == nil && path == bundle.TimestampPath { // it is asked for at every poll
		r.net.remember(question, &kept{data: data, at: time.Now()})
	}
	return data, err
}

// byDigest reads a document that is found without a list.
func (r *registry) byDigest(ctx context.Context, d digest.Digest, limit int64) ([]byte, error) {
	get, address, err := r.connect(ctx, "blobs", d.String())
	if err != nil {
		return nil, err
	}
	data, err := get.small(ctx, address, http.Header{"Accept-Encoding": {"identity"}}, limit)
	if err != nil {
		return nil, r.refused(err)
	}
	if digest.FromBytes(data) != d {
		return nil, fmt.Errorf("it is %w: its digest is another one", bundle.ErrDamaged)
	}
	return data, nil
}

func (r *registry) Blob(ctx context.Context, b manifest.Blob, offset int64) (io.ReadCloser, error) {
	body, start, err := r.openAt(ctx, b, offset)
	if err != nil {
		return nil, err
	}
	return discardTo(body, offset-start)
}

func (r *registry) openAt(ctx context.Context, b manifest.Blob, offset int64) (io.ReadCloser, int64, error) {
	if !bundle.IsDigest(b.Digest) {
		return nil, 0, fmt.Errorf("%q is not a SHA-256 digest", b.Digest)
	}
	get, address, err := r.connect(ctx, "blobs", b.Digest.String())
	if err != nil {
		return nil, 0, err
	}
	body, start, err := get.blob(ctx, address, b, offset)
	if err != nil {
		return nil, 0, fmt.Errorf("cannot read blob %s: %w", b.Digest, r.refused(err))
	}
	return body, start, nil
}
