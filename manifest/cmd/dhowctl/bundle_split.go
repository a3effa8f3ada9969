package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"dhow/agent/api"
	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/bundle/split"
	"dhow/manifest"
	"dhow/manifest/author"
)

// flags adds the options for parts; size names the one for their length.
func (p *inParts) flags(f *pflag.FlagSet, size string) {
	f.StringVar(&p.size, size, "", "write parts of this length, for example 2G or 700M, at most 4.2G (powers of ten)")
	f.IntVar(&p.parity, "parity", 0, "so many further parts, which make up for as many that are lost or damaged")
}

// options is nil for a bundle that is written whole.
func (p inParts) options() (*split.Options, error) {
	if p.size == "" {
		if p.parity != 0 {
			return nil, fail(api.CodeUsage, "--parity is for bundles in parts", "say how long a part may be, for example --split 2G")
		}
		return nil, nil
	}
	n, err := manifest.ParseSize(p.size)
	if err != nil {
		n, err = manifest.ParseSize(p.size + "B")
	}
	switch {
	case err != nil:
		return nil, fail(api.CodeUsage, fmt.Sprintf("%q is no length of a part", p.size), "write it like 2G, 3.9G or 700M")
	case n < split.MinPart || n > split.MaxPart:
		return nil, fail(api.CodeUsage, "a part of "+p.size+" can't be written: it has 1M at least, and 4.2G at most, which is what FAT takes",
			"write it like 2G, 3.9G or 700M")
	case p.parity < 0 || p.parity > split.MaxParity:
		return nil, fail(api.CodeUsage, fmt.Sprintf("%d parts of parity can't be written: there are 0 to %d", p.parity, split.MaxParity), "1 or 2 are right for most sticks")
	}
	return &split.Options{Size: n, Parity: p.parity}, nil
}

func (a *app) bundleSplit() *cobra.Command {
	var parts inParts
	var dir string
	c := a.command("split FILE --size SIZE", "Write a bundle in parts, for sticks with FAT and sticks that lose bytes", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error { return a.splitBundle(ctx, args[0], dir, parts) })
	c.Long = "Writes FILE.001, FILE.002 … and FILE.sums, which dhow reads as they are: give it the folder, or any of the files. FILE stays as it is.\n" +
		"Parts of that name that are there already stay until the new ones are whole: on a full stick remove them first.\n" +
		"\"cat\" joins the parts, and \"sha256sum -c FILE.sums\" checks them."
	parts.flags(c.Flags(), "size")
	c.Flags().StringVarP(&dir, "output", "o", "", "the folder for the parts (default: that of FILE)")
	_ = c.MarkFlagRequired("size")
	return c
}

func (a *app) splitBundle(ctx context.Context, file, dir string, parts inParts) error {
	o, err := parts.options()
	if err != nil {
		return err
	}
	info, err := os.Stat(file)
	switch {
	case err == nil && info.IsDir():
		return fail(api.CodeUsage, file+" is a folder", "name a bundle that is one file")
	case err == nil && !bundle.IsFileName(filepath.Base(file)):
		return fail(api.CodeUsage, file+" is not called like a bundle: sites would not find its parts", "give it a name like FILE.tgz, FILE.tar.zst or FILE.tar")
	}
	src, err := fetch.Open(ctx, file)
	if err != nil {
		return err
	}
	_ = src.Close()
	if dir == "" {
		dir = filepath.Dir(file)
	}
	out := filepath.Join(dir, filepath.Base(file))
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	o.Expect = info.Size()
	show, end := progress(a.err, "writing")
	var done int64
	sums, err := split.Write(ctx, out, *o, func(w io.Writer) error {
		_, err := io.Copy(w, io.TeeReader(bundle.WithContext(ctx, in), counter(func(n int) {
			done += int64(n)
			show(done, info.Size())
		})))
		return err
	})
	end()
	if err != nil {
		return fmt.Errorf("cannot write the parts of %s: %w", out, err)
	}
	a.printf("Bundle %s written%s: %s.\n", out, partsText(len(sums.Parts), len(sums.Parity)), author.SizeText(sums.Size))
	return nil
}

// counter is told how much is written to it.
type counter func(n int)

func (c counter) Write(p []byte) (int, error) {
	c(len(p))
	return len(p), nil
}
