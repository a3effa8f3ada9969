package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dhow/agent/api"
	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/bundle/pack"
	"dhow/manifest/sign"
	"dhow/manifest/trust"

	"github.com/opencontainers/go-digest"
)

// pullFirst is what to do when somebody else has published from another clone of the fleet repository.
const pullFirst = "git pull, then publish again"

// maxSigned is the size in bytes up to which a signed document of a destination is read.
const maxSigned = 8 << 20

// somebody names who has published, as the signed list at src says.
func somebody(ctx context.Context, src bundle.Source, number int64) string {
	data, err := src.Document(ctx, fmt.Sprintf("%s/%d.targets.json", bundle.MetadataDir, number), maxSigned)
	if err != nil {
		return "somebody else"
	}
	var document struct {
		Signed struct {
			By string `json:"by"`
		} `json:"signed"`
	}
	if json.Unmarshal(data, &document) != nil || document.Signed.By == "" {
		return "somebody else"
	}
	return document.Signed.By
}

// mayReplace looks at what is published at a place before anything is signed. It refuses to put older or other documents over those of
// another fleet, or over what somebody else has published: sites that have seen those would refuse ours.
func (a *app) mayReplace(ctx context.Context, r *sign.Repository, place string) error {
	if !strings.HasPrefix(place, "oci://") {
		switch _, err := os.Stat(filepath.Join(place, bundle.MetadataDir)); {
		case errors.Is(err, fs.ErrNotExist):
			return nil // a folder to begin with
		case err != nil:
			return fail(api.CodeUnreachable, "cannot look at what is published: "+err.Error(), "is it a folder that you may read?")
		}
	}
	opened, err := fetch.Open(ctx, place)
	if err != nil {
		return err
	}
	defer opened.Close()
	src := seen{opened, map[string][]byte{}}
	root, err := r.Root()
	if err != nil {
		return err
	}
	client, err := trust.Scratch(root, trust.Options{Now: a.now})
	if err != nil {
		return err
	}
	there, err := client.Refresh(ctx, src, true)
	switch {
	case errors.Is(err, trust.ErrOtherFleet):
		return a.otherFleet(ctx, src, place)
	case errors.Is(err, bundle.ErrUnreachable), errors.Is(err, context.Canceled):
		return fmt.Errorf("cannot look at what is published: %w", err)
	case errors.Is(err, bundle.ErrNoMetadata), errors.Is(err, fs.ErrNotExist) && !errors.Is(err, trust.ErrDamaged):
		return nil // nothing, or a first publishing that was interrupted: the timestamp is written last
	case err != nil:
		return fail(api.CodeNotTrusted, fmt.Sprintf("what is published at %s is not in order: %v", place, err),
			"find out who changed it; then empty that place and publish again")
	}
	ours, err := r.Documents()
	if errors.Is(err, sign.ErrNotSigned) {
		return fail(api.CodeRefused, fmt.Sprintf("%s holds manifest %d of this fleet, and here nothing was signed yet: %s has published",
			place, there.Number, somebody(ctx, src, there.Number)), pullFirst)
	}
	if err != nil {
		return err
	}
	return notBehind(ctx, r, ours, src, place, there.Number)
}

// seen is a source that answers the same each time, though somebody publishes there meanwhile.
type seen struct {
	bundle.Source
	documents map[string][]byte
}

func (s seen) Document(ctx context.Context, path string, limit int64) ([]byte, error) {
	if data, ok := s.documents[path]; ok {
		return data, nil
	}
	data, err := s.Source.Document(ctx, path, limit)
	if err == nil {
		s.documents[path] = data
	}
	return data, err
}

// settle is how long a claim in a registry is left to stand before it counts; 0 means what package pack takes. Tests shorten it.
var settle time.Duration

// claim keeps others from publishing to the same places. What is there was looked at before; it is looked at once more when nobody else can
// change it.
func (a *app) claim(ctx context.Context, r *sign.Repository, o publishOptions) (claims []*pack.Claim, err error) {
	host, _ := os.Hostname()
	dir, err := filepath.Abs(r.Dir())
	if err != nil {
		return nil, err
	}
	who := pack.Publisher{By: r.By + " on " + host, ID: digest.FromString(host + "\x00" + dir).Encoded()[:16], TakeOver: o.takeOver, Settle: settle}
	for _, place := range o.to {
		c, err := pack.Begin(ctx, place, who)
		if errors.Is(err, pack.ErrClaimed) && !strings.HasPrefix(place, "oci://") {
			return claims, fail(api.CodeBusy, err.Error(), "wait for it to end, then "+pullFirst)
		}
		if err != nil {
			return claims, err
		}
		claims = append(claims, c)
		if err := a.mayReplace(ctx, r, place); err != nil {
			return claims, err
		}
	}
	return claims, nil
}

// overtaken says whose publication won.
func (a *app) overtaken(ctx context.Context, r *sign.Repository, place string, err error) error {
	if !errors.Is(err, pack.ErrOvertaken) {
		return err
	}
	if known := a.mayReplace(ctx, r, place); known != nil {
		return known
	}
	return err
}

// notBehind compares what is published with what was signed here last.
func notBehind(ctx context.Context, r *sign.Repository, ours *sign.Documents, src bundle.Source, place string, number int64) error {
	if number > ours.Number {
		return fail(api.CodeRefused, fmt.Sprintf("%s holds manifest %d, and the newest here is %d: %s has published",
			place, number, ours.Number, somebody(ctx, src, number)), pullFirst)
	}
	// What was signed earlier stays in the repository: it tells an older manifest of ours from somebody else's.
	path := fmt.Sprintf("%s/%d.targets.json", bundle.MetadataDir, number)
	mine, err := os.ReadFile(filepath.Join(r.Dir(), filepath.FromSlash(path)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	theirs, err := src.Document(ctx, path, maxSigned)
	if err != nil {
		return err
	}
	if mine != nil && !bytes.Equal(mine, theirs) {
		return fail(api.CodeRefused, fmt.Sprintf("%s holds another manifest %d than the one that was signed here: %s has published",
			place, number, somebody(ctx, src, number)), pullFirst)
	}
	mine = ours.Files[bundle.TimestampPath]
	if theirs, err = src.Document(ctx, bundle.TimestampPath, maxSigned); err != nil {
		return err
	}
	if newer := signedVersion(theirs); newer > signedVersion(mine) || newer == signedVersion(mine) && !bytes.Equal(mine, theirs) {
		return fail(api.CodeRefused, fmt.Sprintf("%s holds manifest %d with a newer date of signing than here: somebody else has published",
			place, number), pullFirst)
	}
	return nil
}

// signedVersion returns the number of a signed document that was verified already.
func signedVersion(data []byte) int64 {
	var document struct {
		Signed struct {
			Version int64 `json:"version"`
		} `json:"signed"`
	}
	_ = json.Unmarshal(data, &document)
	return document.Signed.Version
}

// otherFleet names the fleet whose manifest is at a place, as far as that verifies with the root that stands beside it.
func (a *app) otherFleet(ctx context.Context, src bundle.Source, place string) error {
	hint := "publish to another place, or name the right fleet repository with -C"
	root, err := src.Document(ctx, bundle.RootPath(1), maxRoot)
	if err != nil {
		return err
	}
	fingerprint, err := trust.Fingerprint(root)
	if err != nil {
		return err
	}
	name := ""
	if client, err := trust.Scratch(root, trust.Options{Now: a.now}); err == nil {
		if m, err := client.Refresh(ctx, src, true); err == nil {
			name = " " + m.Fleet.Name
		}
	}
	return fail(api.CodeRefused, fmt.Sprintf("%s holds the manifest of another fleet%s (root fingerprint %s)", place, name, fingerprint), hint)
}
