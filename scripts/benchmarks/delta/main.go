// Command delta makes and applies deltas for the benchmark of that name.
//
//	delta create NEW.tar OUT OLD.tar…
//	delta apply DELTA OUT OLD.tar…
//	delta idle                        ends at once: what the program itself needs
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"dhow/bundle/delta"

	"github.com/opencontainers/go-digest"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 1 && args[0] == "idle":
		return nil
	case len(args) >= 3 && args[0] == "create":
		return create(ctx, args[1], args[2], args[3:])
	case len(args) >= 3 && args[0] == "apply":
		return apply(ctx, args[1], args[2], args[3:])
	}
	return errors.New("usage: delta create NEW.tar OUT OLD.tar… | delta apply DELTA OUT OLD.tar… | delta idle")
}

func create(ctx context.Context, layer, out string, old []string) error {
	base, err := open(old)
	if err != nil {
		return err
	}
	next, err := open([]string{layer})
	if err != nil {
		return err
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	stats, err := delta.Create(ctx, base, next[0], f, delta.Options{Dir: os.TempDir()})
	if err == nil {
		fmt.Fprintf(os.Stderr, "%+v\n", stats)
	}
	return errors.Join(err, f.Close())
}

func apply(ctx context.Context, file, out string, old []string) error {
	d, err := os.Open(file)
	if err != nil {
		return err
	}
	defer d.Close()
	info, err := d.Stat()
	if err != nil {
		return err
	}
	h, err := delta.ReadHeader(d, info.Size())
	if err != nil {
		return err
	}
	// The header tells the digests; Apply checks that the files have them.
	if len(h.Old) != len(old) {
		return fmt.Errorf("%d layers, and the delta wants %d", len(old), len(h.Old))
	}
	var base []delta.Layer
	for i, path := range old {
		tar, err := os.Open(path)
		if err != nil {
			return err
		}
		base = append(base, delta.Layer{Identity: h.Old[i], Tar: tar})
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	return errors.Join(delta.Apply(ctx, base, d, info.Size(), f, os.TempDir(), nil), f.Close())
}

func open(paths []string) ([]delta.Layer, error) {
	var all []delta.Layer
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		hash := sha256.New()
		n, err := io.Copy(hash, f)
		if err != nil {
			return nil, err
		}
		id := delta.Identity{DiffID: digest.NewDigestFromBytes(digest.SHA256, hash.Sum(nil)), Size: n}
		all = append(all, delta.Layer{Identity: id, Tar: f})
	}
	return all, nil
}
