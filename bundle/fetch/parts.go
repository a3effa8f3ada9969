package fetch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"dhow/bundle"
	"dhow/bundle/split"
)

// inParts reports whether a path names a file of a bundle in parts: one that is called like a part of a bundle, or has sums beside it.
func inParts(path string) bool {
	whole, ok := split.Of(filepath.Base(path))
	if !ok || bundle.IsFileName(whole) {
		return ok
	}
	_, err := os.Lstat(filepath.Join(filepath.Dir(path), split.SumsName(whole)))
	return err == nil
}

// partsError classifies an error of opening parts: what the system says, of a stick that is not plugged in, or in the words of split.
func partsError(err error) error {
	var system *fs.PathError
	if errors.As(err, &system) {
		return fmt.Errorf("%w: %w", bundle.ErrUnreachable, err)
	}
	return err
}

// InParts returns the parts that a source is read from, nil for one that is no bundle in parts.
func InParts(src bundle.Source) *split.Parts {
	if a, ok := src.(*archive); ok {
		return a.parts
	}
	return nil
}

// VerifyParts ends the verification of a source, of which err is what reading it said: what is left of a bundle in parts is read too. Where
// parts are damaged the error names all of them, not only the first.
func VerifyParts(ctx context.Context, src bundle.Source, err error) error {
	p := InParts(src)
	var part split.Damage
	switch {
	case p == nil:
		return err
	case err == nil:
		return p.Check(ctx, true)
	case errors.As(err, &part):
		if all := p.Check(ctx, false); errors.As(all, &part) {
			return part
		}
	}
	return err
}
