package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/distribution/reference"
	"github.com/docker/docker/client"
	"github.com/opencontainers/go-digest"
)

// Image is what Load brings into the engine. Layers are the config's diff IDs with their bytes, lowest first.
type Image struct {
	Config       []byte
	ConfigDigest digest.Digest
	Tag          string
	Layers       []Layer
}

// Layer is one unpacked layer. Open returns its tar, DiffSize bytes long; the reader has to return an error in place
// of EOF when the bytes are not those of DiffID.
type Layer struct {
	DiffID   digest.Digest
	DiffSize int64
	Open     func() (io.ReadCloser, error)
}

const maxConfig = 8 << 20

// Load brings an image into the engine and gives it its tag. Layers that the engine has already are not sent, unless
// it turns out to need them. When Load returns nil the image is there, it is the one with this config digest, and
// the tag names it; when it fails, no tag of this name names anything else than before. progress is told the bytes of
// layers that were sent, and how many are to be sent; it may be nil.
func (e *Engine) Load(ctx context.Context, img Image, progress func(done, total int64)) error {
	if err := img.check(); err != nil {
		return fmt.Errorf("cannot load %s: %w", img.Tag, err)
	}
	if there, err := e.HasImage(ctx, img.ConfigDigest); err != nil {
		return err
	} else if there {
		return e.Tag(ctx, img.ConfigDigest, img.Tag)
	}
	stacks, err := e.stacks(ctx)
	if err != nil {
		return err
	}
	before, err := e.Tagged(ctx, img.Tag)
	if err != nil {
		return err
	}
	skip := commonPrefix(img.diffIDs(), stacks)
	err = e.send(ctx, img, skip, progress)
	if skip > 0 && refused(err) {
		err = e.send(ctx, img, 0, progress)
	}
	if err == nil {
		err = e.confirm(ctx, img)
	}
	if err == nil {
		return nil
	}
	// What a failed load left under our tag must not be taken for the image.
	clean, cancel := afterwards(ctx)
	defer cancel()
	if now, terr := e.Tagged(clean, img.Tag); terr == nil && now != "" && now != before && now != img.ConfigDigest {
		err = errors.Join(err, e.Untag(clean, img.Tag))
	}
	return fmt.Errorf("cannot load %s: %w", img.Tag, err)
}

// check refuses an image whose parts do not belong together before anything is sent.
func (img Image) check() error {
	if _, err := reference.ParseNormalizedNamed(img.Tag); err != nil {
		return fmt.Errorf("bad tag: %w", err)
	}
	if len(img.Config) > maxConfig {
		return fmt.Errorf("its config is larger than %d bytes", maxConfig)
	}
	if got := digest.FromBytes(img.Config); got != img.ConfigDigest {
		return fmt.Errorf("its config is %s, expected %s", short(got), short(img.ConfigDigest))
	}
	ids, err := configDiffIDs(img.Config)
	if err != nil {
		return err
	}
	if !equal(ids, img.diffIDs()) {
		return errors.New("its layers are not those that its config names")
	}
	return nil
}

func (img Image) diffIDs() []string {
	ids := make([]string, len(img.Layers))
	for i, l := range img.Layers {
		ids[i] = l.DiffID.String()
	}
	return ids
}

// commonPrefix returns how many of want's first layers some stack begins with too: the engine knows layers by their
// chain, so only a common beginning can be left out.
func commonPrefix(want []string, stacks [][]string) int {
	best := 0
	for _, s := range stacks {
		n := 0
		for n < len(want) && n < len(s) && want[n] == s[n] {
			n++
		}
		best = max(best, n)
	}
	return best
}

// refusal is an error that the engine itself gave while loading.
type refusal struct{ message string }

func (r *refusal) Error() string { return "the engine says: " + r.message }
func (r *refusal) Unwrap() error { return ErrNotLoaded }

// refused reports whether the engine turned the archive down, so that another archive may do better.
func refused(err error) bool {
	var r *refusal
	return errors.As(err, &r) && !errors.Is(err, syscall.ENOSPC)
}

// send streams the image without its first skip layers.
func (e *Engine) send(ctx context.Context, img Image, skip int, progress func(done, total int64)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pr, pw := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := writeArchive(ctx, pw, img, skip, progress)
		_ = pw.CloseWithError(err)
		written <- err
	}()
	res, err := e.api().ImageLoad(ctx, pr, client.ImageLoadWithQuiet(true))
	if err == nil {
		err = answer(res.Body)
		_ = res.Body.Close()
	} else if !client.IsErrConnectionFailed(err) && ctx.Err() == nil {
		err = &refusal{err.Error()}
	}
	_ = pr.CloseWithError(errEnough)
	werr := <-written
	switch {
	case werr != nil && !errors.Is(werr, errEnough) && !errors.Is(werr, io.ErrClosedPipe):
		return werr // our side failed first: the engine's complaint is only the consequence
	case err != nil:
		return err
	case werr != nil:
		return fmt.Errorf("%w: it stopped reading", ErrNotLoaded)
	}
	return nil
}

var errEnough = errors.New("the engine has answered")

// answer reads the engine's messages, in which an error hides behind status 200.
func answer(body io.Reader) error {
	for dec := json.NewDecoder(io.LimitReader(body, 4<<20)); ; {
		var m struct {
			Error       string `json:"error"`
			ErrorDetail *struct {
				Message string `json:"message"`
			} `json:"errorDetail"`
		}
		err := dec.Decode(&m)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%w: its answer is cut short: %w", ErrNotLoaded, err)
		case m.ErrorDetail != nil && m.ErrorDetail.Message != "":
			return refusalOf(m.ErrorDetail.Message)
		case m.Error != "":
			return refusalOf(m.Error)
		}
	}
}

// confirm checks the effect of a load: a full disk may end one without an error.
func (e *Engine) confirm(ctx context.Context, img Image) error {
	in, err := e.api().ImageInspect(ctx, img.ConfigDigest.String())
	if err != nil || in.Descriptor != nil {
		// A containerd store knows the image by the manifest that we wrote, which names the config and the layers.
		if in, err = e.api().ImageInspect(ctx, img.Tag); err == nil && in.Descriptor != nil && in.ID == img.manifestDigest().String() {
			e.remember(digest.Digest(in.ID), img.ConfigDigest)
		} else {
			return fmt.Errorf("%w: it reported no error, but image %s is not there (is its disk full?)",
				ErrNotLoaded, short(img.ConfigDigest))
		}
	}
	if !equal(in.RootFS.Layers, img.diffIDs()) {
		return fmt.Errorf("%w: the layers of image %s are not those that were sent", ErrNotLoaded, short(img.ConfigDigest))
	}
	if err := e.Tag(ctx, img.ConfigDigest, img.Tag); err != nil {
		return err
	}
	tagged, err := e.Tagged(ctx, img.Tag)
	if err == nil && tagged != img.ConfigDigest {
		err = fmt.Errorf("%w: the tag names %s, expected %s", ErrNotLoaded, short(tagged), short(img.ConfigDigest))
	}
	return err
}
