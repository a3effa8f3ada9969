package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"dhow/bundle/durable"
	"dhow/manifest/trust"
)

const (
	maxDocument = 8 << 20   // of trusted documents on disk
	maxFile     = 256 << 20 // of files that are fetched
)

// options are what the command line says.
type options struct {
	metadata string   // folder of trusted documents
	files    string   // folder of fetched files
	names    []string // files to fetch
	source   web
}

func run(ctx context.Context, args []string) error {
	o := options{source: newWeb()}
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	flags.StringVar(&o.metadata, "metadata-dir", "", "`folder` of trusted documents")
	flags.StringVar(&o.source.metadata, "metadata-url", "", "`address` of the repository's documents")
	flags.StringVar(&o.source.targets, "target-base-url", "", "`address` of the repository's files")
	flags.StringVar(&o.files, "target-dir", "", "`folder` for fetched files")
	flags.Func("target-name", "`name` of a file to fetch; may be repeated", func(name string) error {
		o.names = append(o.names, name)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch command := flags.Arg(0); {
	case o.metadata == "":
		return errors.New("--metadata-dir is missing")
	case command == "init" && flags.NArg() == 2:
		return o.begin(flags.Arg(1))
	case command == "refresh" && flags.NArg() == 1 && o.source.metadata != "":
		_, err := o.refresh(ctx)
		return err
	case command == "download" && flags.NArg() == 1 && o.source.metadata != "" && o.source.targets != "" && o.files != "" && len(o.names) > 0:
		return o.download(ctx)
	}
	return errors.New("usage: see the package comment")
}

// begin takes the first root over as it is: the protocol wants its faults found by the first refresh.
func (o *options) begin(root string) error {
	data, err := os.ReadFile(root)
	if err != nil {
		return fmt.Errorf("cannot read the first root: %w", err)
	}
	if err := durable.MkdirAll(o.metadata, 0o755); err != nil {
		return err
	}
	return o.keep("root", data)
}

func (o *options) refresh(ctx context.Context) (*trust.Workflow, error) {
	now, err := clock(ctx)
	if err != nil {
		return nil, err
	}
	trusted, err := o.load()
	if err != nil {
		return nil, err
	}
	w := &trust.Workflow{Source: o.source, Trusted: *trusted, Time: now, Keep: o.keep}
	return w, w.Refresh(ctx)
}

// download refreshes and then brings each file into the folder for files, under its quoted name.
func (o *options) download(ctx context.Context) error {
	w, err := o.refresh(ctx)
	if err != nil {
		return err
	}
	for _, name := range o.names {
		info, err := w.Find(ctx, name)
		if err != nil {
			return err
		}
		file := filepath.Join(o.files, fileName(name))
		if data, err := read(file, info.Length); err == nil && info.VerifyLengthHashes(data) == nil {
			continue
		}
		data, err := w.Fetch(ctx, info, maxFile)
		if err != nil {
			return err
		}
		if err := durable.MkdirAll(o.files, 0o755); err != nil {
			return err
		}
		if err := durable.WriteFile(file, data, 0o644); err != nil {
			return fmt.Errorf("cannot keep %s: %w", name, err)
		}
	}
	return nil
}

// fileName is the one part of a path that a file's name becomes. It does not begin with a dot.
func fileName(name string) string {
	quoted := trust.Quote(name)
	if rest, ok := strings.CutPrefix(quoted, "."); ok {
		return "%2E" + rest
	}
	return quoted
}

func (o *options) keep(role string, data []byte) error {
	if err := durable.WriteFile(filepath.Join(o.metadata, trust.Quote(role)+".json"), data, 0o644); err != nil {
		return fmt.Errorf("cannot keep %s: %w", role, err)
	}
	return nil
}

// load reads what is trusted. A document that can't be read is as good as none; without a root there is nothing to begin with.
func (o *options) load() (*trust.Trusted, error) {
	role := func(name string) []byte {
		data, err := read(filepath.Join(o.metadata, name+".json"), maxDocument)
		if err != nil {
			return nil
		}
		return data
	}
	t := &trust.Trusted{Timestamp: role("timestamp"), Snapshot: role("snapshot"), Targets: role("targets"), Delegated: map[string][]byte{}}
	var err error
	if t.Root, err = read(filepath.Join(o.metadata, "root.json"), maxDocument); err != nil {
		return nil, fmt.Errorf("cannot read the trusted root: %w", err)
	}
	entries, err := os.ReadDir(o.metadata)
	if err != nil {
		return nil, fmt.Errorf("cannot list trusted documents: %w", err)
	}
	for _, e := range entries {
		quoted, ok := strings.CutSuffix(e.Name(), ".json")
		switch name, ok2 := unquote(quoted); {
		case !ok || !ok2 || name == "root" || name == "timestamp" || name == "snapshot" || name == "targets":
		default:
			t.Delegated[name] = role(quoted)
		}
	}
	return t, nil
}

// read reads a file of at most limit bytes.
func read(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is longer than %d bytes", path, limit)
	}
	return data, err
}

// clock returns the time that documents are held against.
func clock(ctx context.Context) (time.Time, error) {
	command := os.Getenv("DHOW_CLOCK")
	if command == "" {
		return time.Now().UTC(), nil
	}
	out, err := exec.CommandContext(ctx, "sh", "-c", command).Output()
	if err != nil {
		return time.Time{}, fmt.Errorf("cannot ask $DHOW_CLOCK for the time: %w", err)
	}
	seconds, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("cannot ask $DHOW_CLOCK for the time: it printed %.40q", out)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
