package stick

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"dhow/bundle"
	"dhow/bundle/split"
)

// Bundle is what is called like a bundle, or laid out like one. Nobody has read it yet.
type Bundle struct {
	Path string // what to open: a file, a folder, or the sums of a bundle in parts
	Key  string // changes when the bundle does
}

// Bounds of one look.
const (
	mostEntries = 200_000 // names that are read, in all folders
	mostFolders = 1000    // folders that are opened
	mostBundles = 64
	batch       = 256 // names at once
)

// Look finds the bundles in the root of a stick and in the folders there, in the order of their paths: files that are called like bundles, the
// parts of one as one, and folders with the layout of package bundle. It reads names and sizes only, of regular files and folders; it
// leaves out what is hidden, links, pipes and devices. What lies beyond the bounds is not seen. The error says that something
// could not be read; what was found beside it is returned all the same.
func Look(ctx context.Context, dir string) ([]Bundle, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	l := &look{ctx: ctx, dir: dir, root: root}
	folders, err := l.folder(".")
	for _, f := range folders[:min(len(folders), mostFolders)] {
		if _, ferr := l.folder(f); ferr != nil && !errors.Is(ferr, fs.ErrPermission) {
			err = errors.Join(err, ferr)
		}
	}
	slices.SortFunc(l.found, func(a, b Bundle) int { return strings.Compare(a.Path, b.Path) })
	return l.found, err
}

type look struct {
	ctx     context.Context
	dir     string
	root    *os.Root
	entries int
	found   []Bundle
}

// parts is a bundle in parts of which files were seen.
type parts struct {
	name string
	list []string
}

// folder looks into one folder and returns those in it.
func (l *look) folder(name string) (folders []string, err error) {
	if info, err := l.root.Lstat(path.Join(name, bundle.TimestampPath)); err == nil && info.Mode().IsRegular() {
		l.add(name, stamp(info))
	}
	d, err := l.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	split := map[string]*parts{}
	for l.entries < mostEntries && l.ctx.Err() == nil {
		entries, rerr := d.ReadDir(batch)
		for _, e := range entries {
			l.entries++
			switch {
			case strings.HasPrefix(e.Name(), "."):
			case e.IsDir() && len(folders) < mostFolders:
				folders = append(folders, path.Join(name, e.Name()))
			case e.Type().IsRegular():
				l.file(name, e, split)
			}
		}
		if rerr == io.EOF {
			break
		}
		if rerr != nil {
			err = rerr
			break
		}
	}
	for _, p := range split {
		slices.Sort(p.list)
		h := fnv.New64a()
		_, _ = io.WriteString(h, strings.Join(p.list, "\x00"))
		l.add(path.Join(name, p.name), fmt.Sprintf("%016x", h.Sum64()))
	}
	slices.Sort(folders)
	return folders, errors.Join(err, l.ctx.Err())
}

func (l *look) file(folder string, e fs.DirEntry, in map[string]*parts) {
	whole, part := split.Of(e.Name())
	part = part && bundle.IsFileName(whole)
	if !part && !bundle.IsFileName(e.Name()) {
		return
	}
	info, err := e.Info()
	if err != nil || !info.Mode().IsRegular() {
		return
	}
	if !part {
		l.add(path.Join(folder, e.Name()), stamp(info))
		return
	}
	name := split.SumsName(whole)
	p := in[name]
	if p == nil && len(in) < mostBundles {
		p = &parts{name: name}
		in[name] = p
	}
	if p != nil && len(p.list) < 2000 {
		p.list = append(p.list, e.Name()+" "+stamp(info))
	}
}

func (l *look) add(name, key string) {
	if len(l.found) < mostBundles {
		l.found = append(l.found, Bundle{Path: filepath.Join(l.dir, filepath.FromSlash(name)), Key: key})
	}
}

// stamp tells a file from the one that was there before. Numbers of inodes don't: FUSE gives new ones now and then.
func stamp(info fs.FileInfo) string {
	return fmt.Sprintf("%d %d", info.Size(), info.ModTime().UnixNano())
}
