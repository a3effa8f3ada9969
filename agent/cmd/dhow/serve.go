package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"dhow/agent/api"
	"dhow/agent/fault"
	"dhow/agent/site"
	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/bundle/serve"
	"dhow/manifest/trust"
)

func (s *shell) serveCommand() *cobra.Command {
	var dir, address string
	cmd := &cobra.Command{
		Use: "serve",
		Long: "Runs in the foreground until it is stopped, and needs no agent. It is read-only, and gives away what is signed, and nothing else.\n" +
			"A bundle in a file is unpacked first, into this user's cache until the end: that takes as much room again as the bundle.\n" +
			"The agent of a site does the same all the time when its dhow.yaml says: serve: \":8911\"",
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return s.serve(cmd.Context(), dir, address) },
	}
	cmd.Flags().StringVar(&dir, "dir", ".", "help.flag.serve.dir")
	cmd.Flags().StringVar(&address, "listen", ":8911", "help.flag.serve.listen")
	return cmd
}

func (s *shell) serve(ctx context.Context, dir, address string) error {
	if err := site.CheckServe(address); err != nil {
		return api.Fail(api.CodeUsage, "see: dhow serve --help", "--listen%s", strings.TrimPrefix(err.Error(), "serve")).In("listen", "cause", strings.TrimPrefix(err.Error(), "serve"))
	}
	if strings.Contains(dir, "://") {
		return api.Fail(api.CodeUsage, "sites can name "+fetch.Redact(dir)+" in their own sources", "--dir must be a path of this computer").In("dir_elsewhere", "source", fetch.Redact(dir))
	}
	shelf, about, done, err := s.shelf(ctx, dir)
	if err != nil {
		return trustError(err)
	}
	defer done()
	l, err := net.Listen("tcp", address)
	if err != nil {
		return api.Fail(api.CodeRefused, "choose another port: --listen :8912", "cannot listen: %v", err).In("cannot_listen", "cause", err.Error())
	}
	s.column(s.say("cli.label.serving"), about)
	for _, source := range serve.Addresses(l) {
		s.column(s.say("cli.label.source"), source)
	}
	s.sayln("cli.serve.how")
	log := slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if err := serve.Serve(ctx, l, serve.NewHandler(shelf, log)); err != nil {
		return fmt.Errorf("cannot serve: %w", err)
	}
	return nil
}

// shelf opens what is to be given away, and says what it is. done ends it.
func (s *shell) shelf(ctx context.Context, dir string) (shelf serve.Shelf, about string, done func(), err error) {
	if _, err := os.Stat(filepath.Join(dir, cacheTrust, "root.json")); err == nil {
		return s.cacheShelf(dir)
	}
	src, err := fetch.Open(ctx, dir)
	if err != nil {
		return nil, "", nil, err
	}
	var room serveRoom
	done = func() {
		_ = src.Close()
		room.end()
	}
	show := s.newMeter(s.say("cli.label.reading"))
	b, err := serve.OpenSource(ctx, src, room.begin, func(n int64) { show.set(n, 0) })
	show.end()
	switch {
	case errors.Is(err, serve.ErrNoRoom):
		err = api.Fail(api.CodeRefused, "make room there, or unpack the bundle on a disk with room: tar -xf BUNDLE -C FOLDER, then --dir FOLDER",
			"cannot unpack into %s: %v", room.dir, err).In("no_room_to_unpack", "folder", room.dir, "cause", err.Error())
	case err == nil:
		about = s.say("cli.serve.from", "what", b.About(), "place", src.Name())
		if room.store != nil {
			about += fmt.Sprintf("\n%s %s", pad(s.say("cli.label.unpacked"), 9), s.say("cli.serve.unpacked", "folder", room.dir))
		}
		return b, about, done, nil
	}
	done()
	return nil, "", nil, err
}

// cacheShelf is what dhow fetch has brought.
func (s *shell) cacheShelf(dir string) (serve.Shelf, string, func(), error) {
	client, err := trust.Open(filepath.Join(dir, cacheTrust), trust.Options{Now: fault.Now, Floor: buildTime()})
	if err != nil {
		return nil, "", nil, err
	}
	m, err := client.Current()
	if err != nil {
		return nil, "", nil, err
	}
	store, err := bundle.OpenStore(filepath.Join(dir, cacheStore))
	if err != nil {
		return nil, "", nil, err
	}
	releases, err := client.Here()
	if err != nil {
		return nil, "", nil, err
	}
	var versions []string
	for _, r := range releases {
		versions = append(versions, r.Version)
	}
	about := s.say("cli.serve.cache", "fleet", m.Fleet.Name, "manifest", m.Number, "releases", s.words.List(versions), "place", dir)
	return serve.Site(store, client), about, func() {}, nil
}
