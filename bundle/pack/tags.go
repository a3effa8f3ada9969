package pack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/manifest"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/opencontainers/go-digest"
)

// maxTag bounds the manifest behind a tag, in bytes.
const maxTag = maxManifest

// tags reads and writes the tags of a repository, one request for each: what is asked is asked now, and nothing is left out because it seems
// to be there already.
type tags struct {
	repo   name.Repository
	client *http.Client
	pusher *remote.Pusher
	empty  bool // the empty config is there
}

func newTags(ctx context.Context, ref string) (*tags, error) {
	repo, plain, err := fetch.Repository(ref)
	if err != nil {
		return nil, err
	}
	auth, err := authn.Resolve(ctx, Keychain{}, repo)
	if err != nil {
		return nil, fmt.Errorf("cannot find out how to log in: %w", err)
	}
	t, err := transport.NewWithContext(ctx, repo.Registry, auth, fetch.Transport(plain, commitWait), []string{repo.Scope(transport.PushScope)})
	if err != nil {
		return nil, err
	}
	pusher, err := remote.NewPusher(remote.WithContext(ctx), remote.WithTransport(t))
	if err != nil {
		return nil, err
	}
	return &tags{repo: repo, client: &http.Client{Transport: t}, pusher: pusher}, nil
}

func (t *tags) url(tag string) string {
	u := url.URL{Scheme: t.repo.Scheme(), Host: t.repo.RegistryStr(), Path: "/v2/" + t.repo.RepositoryStr() + "/manifests/" + tag}
	return u.String()
}

// get returns the manifest behind a tag and its digest, nothing when there is no such tag. A registry that keeps tags in plain files fails
// for some milliseconds while somebody replaces one.
func (t *tags) get(ctx context.Context, tag string) (data []byte, d digest.Digest, err error) {
	var failed *transport.Error
	for pause := 50 * time.Millisecond; ; pause *= 3 {
		data, d, err = t.getOnce(ctx, tag)
		if !errors.As(err, &failed) || failed.StatusCode != http.StatusInternalServerError || pause > time.Second {
			return data, d, err
		}
		if err := wait(ctx, pause); err != nil {
			return nil, "", err
		}
	}
}

func (t *tags) getOnce(ctx context.Context, tag string) ([]byte, digest.Digest, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url(tag), nil)
	if err != nil {
		return nil, "", fmt.Errorf("internal error: %w", err)
	}
	req.Header["Accept"] = []string{bundle.OCIManifestMediaType, "*/*"}
	req.Header["Cache-Control"] = []string{"no-cache"}
	resp, err := t.client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return nil, "", nil
	}
	if err := transport.CheckError(resp, http.StatusOK); err != nil {
		return nil, "", err
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxTag+1))
	if err != nil {
		return nil, "", err
	}
	if len(data) > maxTag {
		return nil, "", fmt.Errorf("the tag %q is %w: more than %d bytes", tag, bundle.ErrTooLarge, maxTag)
	}
	return data, digest.FromBytes(data), nil
}

// has reports whether the repository has a blob.
func (t *tags) has(ctx context.Context, b manifest.Blob) (bool, error) {
	u := url.URL{Scheme: t.repo.Scheme(), Host: t.repo.RegistryStr(), Path: "/v2/" + t.repo.RepositoryStr() + "/blobs/" + b.Digest.String()}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, u.String(), nil)
	if err != nil {
		return false, fmt.Errorf("internal error: %w", err)
	}
	resp, err := t.client.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return false, nil
	}
	return true, transport.CheckError(resp, http.StatusOK)
}

func (t *tags) put(ctx context.Context, tag string, m raw) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, t.url(tag), bytes.NewReader(m.data))
	if err != nil {
		return fmt.Errorf("internal error: %w", err)
	}
	req.Header.Set("Content-Type", m.mediaType)
	resp, err := t.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := transport.CheckError(resp, http.StatusOK, http.StatusCreated, http.StatusAccepted); err != nil {
		return fmt.Errorf("tag %s: %w", tag, err)
	}
	return nil
}

// putEmpty puts the config of artifacts, once.
func (t *tags) putEmpty(ctx context.Context) error {
	if t.empty {
		return nil
	}
	if err := t.pusher.Upload(ctx, t.repo, inline{emptyConfig}); err != nil {
		return err
	}
	t.empty = true
	return nil
}

// printable makes one short line of a foreign text.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, s)
	if r := []rune(s); len(r) > 100 {
		s = string(r[:100])
	}
	return s
}
