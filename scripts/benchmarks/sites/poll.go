//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"dhow/bundle/fetch"
	"dhow/manifest/trust"
)

// site is one site as its agent keeps it: a trust folder, and a Network for the life of the process.
type site struct {
	name, spec string
	client     *trust.Client
	net        *fetch.Network
}

func newSite(dir, name, spec string, root []byte) (*site, error) {
	if err := trust.Init(dir, root); err != nil {
		return nil, err
	}
	c, err := trust.Open(dir, trust.Options{Site: name})
	return &site{name: name, spec: spec, client: c, net: fetch.NewNetwork()}, err
}

// poll looks for news and returns the site's pin.
func (s *site) poll(ctx context.Context) (pin string, err error) {
	src, err := s.net.Open(ctx, s.spec)
	if err != nil {
		return "", err
	}
	defer src.Close()
	m, err := s.client.Refresh(ctx, src, false)
	if err != nil {
		return "", err
	}
	a, err := m.Fleet.Assignment(s.name)
	return a.Pin, err
}

func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// plain is a client without anything of ours: the default transport of Go, a new one for every poll, that asks for the next root and reads
// what the workflow of TUF names, with one document for the whole fleet.
func plain(ctx context.Context, base string, paths ...string) error {
	t := http.DefaultTransport.(*http.Transport).Clone()
	client := &http.Client{Transport: t}
	defer t.CloseIdleConnections()
	for _, path := range paths {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/"+path, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// bench is the state of the benchmark "poll".
type bench struct {
	ctx      context.Context
	fleet    *fleet
	web, oci *line
	ociSpec  string
	sites    map[string]*site // over the web
	overOCI  *site
	base     string
}

func poll(ctx context.Context, work, web, folder, registry string) error {
	b := &bench{ctx: ctx, sites: map[string]*site{}}
	running, err := startServers(ctx, work, web, registry)
	if err != nil {
		return err
	}
	defer running.kill()
	if b.web, err = newLine(web); err != nil {
		return err
	}
	if b.oci, err = newLine(registry); err != nil {
		return err
	}
	b.ociSpec, b.base = "oci://"+registry+"/drc-emr", "https://"+b.web.address()
	if b.fleet, err = newFleet(filepath.Join(work, "fleet"), folder, 10_000); err != nil {
		return err
	}
	if _, err := b.fleet.publish(ctx, b.ociSpec); err != nil {
		return err
	}
	f := b.fleet
	root, err := f.repo.Root()
	if err != nil {
		return err
	}
	// One whose ring will change, one that will be pinned by itself, and one in another part of the fleet than that.
	for i, name := range []string{f.sites[1], f.sites[2], f.sites[4]} {
		if b.sites[name], err = newSite(filepath.Join(work, "trust", strconv.Itoa(i)), name, b.base, root); err != nil {
			return err
		}
	}
	if b.overOCI, err = newSite(filepath.Join(work, "trust", "oci"), f.sites[1], "oci://"+b.oci.address()+"/drc-emr", root); err != nil {
		return err
	}
	return b.measure()
}

// cost polls as a site and returns the bytes.
func (b *bench) cost(s *site, l *line) (int64, error) {
	if _, err := s.poll(b.ctx); err != nil {
		return 0, err
	}
	n, _ := l.taken()
	return n, nil
}

func (b *bench) plainCost(paths ...string) (int64, error) {
	err := plain(b.ctx, b.base, paths...)
	n, _ := b.web.taken()
	return n, err
}

// documents are the paths that a plain client reads: what it asks for at every poll, and what more when something is new.
func (b *bench) documents() (always, more []string) {
	always = []string{"metadata/2.root.json", "metadata/timestamp.json"}
	for _, kind := range []string{".snapshot.json", ".targets.json"} {
		for path := range b.fleet.signed.Files {
			if strings.HasSuffix(path, kind) {
				more = append(more, path)
			}
		}
	}
	return always, append(more, "whole.json.zst")
}

func (b *bench) measure() error {
	f, ctx := b.fleet, b.ctx
	ring, single, other := b.sites[f.sites[1]], b.sites[f.sites[2]], b.sites[f.sites[4]]
	all := []*site{ring, single, other}
	settle := func() error { // every site has the present manifest
		for _, s := range all {
			if _, err := s.poll(ctx); err != nil {
				return err
			}
		}
		_, err := b.overOCI.poll(ctx)
		b.web.taken()
		b.oci.taken()
		return err
	}
	first, err := b.cost(ring, b.web)
	if err != nil {
		return err
	}
	firstOCI, err := b.cost(b.overOCI, b.oci)
	if err != nil {
		return err
	}
	if err := settle(); err != nil {
		return err
	}
	unchanged, err := b.cost(ring, b.web)
	if err != nil {
		return err
	}
	ociUnchanged, err := b.cost(b.overOCI, b.oci)
	if err != nil {
		return err
	}
	f.rings["wave2"] = "1.2.0"
	published, err := f.publish(ctx, b.ociSpec)
	if err != nil {
		return err
	}
	changed, err := b.cost(ring, b.web)
	if err != nil {
		return err
	}
	ociChanged, err := b.cost(b.overOCI, b.oci)
	if err != nil {
		return err
	}
	whole, err := f.inOne()
	if err != nil {
		return err
	}
	always, more := b.documents()
	plainUnchanged, err := b.plainCost(always...)
	if err != nil {
		return err
	}
	plainChanged, err := b.plainCost(append(always, more...)...)
	if err != nil {
		return err
	}
	if err := settle(); err != nil {
		return err
	}
	f.pins[single.name] = "1.4.0"
	if _, err := f.publish(ctx); err != nil {
		return err
	}
	own, err := b.cost(single, b.web)
	if err != nil {
		return err
	}
	others, err := b.cost(other, b.web)
	if err != nil {
		return err
	}
	fmt.Printf("10,000 sites, 3 rings, 5 releases, 2 %% exceptions; bytes of TCP payload, both ways, TLS\n")
	fmt.Printf("%-46s %9s %9s %7s\n", "", "dhow", "plain", "ratio")
	row := func(what string, ours, theirs int64) {
		if theirs == 0 {
			fmt.Printf("%-46s %9d\n", what, ours)
			return
		}
		fmt.Printf("%-46s %9d %9d %6.1fx\n", what, ours, theirs, float64(theirs)/float64(ours))
	}
	row("first poll of a site", first, 0)
	row("nothing new", unchanged, plainUnchanged)
	row("a new pin of a ring", changed, plainChanged)
	row("a site pinned by itself: at that site", own, plainChanged)
	row("a site pinned by itself: at another one", others, plainChanged)
	fmt.Printf("(plain: what a TUF updater over Go's default client asks for, one fleet document of %d bytes, no TLS session kept)\n", whole)
	fmt.Printf("over an OCI registry (docker-registry behind TLS)\n")
	row("first poll of a site", firstOCI, 0)
	row("nothing new", ociUnchanged, 0)
	row("a new pin of a ring", ociChanged, 0)

	verified, err := b.verified(single.name)
	if err != nil {
		return err
	}
	wholeTime, err := b.verified("")
	if err != nil {
		return err
	}
	if err := b.pinAll(all, settle); err != nil {
		return err
	}
	pinned, err := b.verified(single.name)
	if err != nil {
		return err
	}
	fmt.Printf("time and memory to verify a new manifest, state on disk included: %s\n", verified)
	fmt.Printf("  all pinned singly: %s; reading the whole fleet as the centre does: %s\n", pinned, wholeTime)
	fmt.Printf("time to sign and publish into a folder: %.2f s\n", published.Seconds())
	ms, _, _ := strings.Cut(verified, " ")
	fmt.Printf("poll: unchanged_bytes=%d changed_bytes=%d verify_ms=%s publish_s=%.2f oci_unchanged_bytes=%d\n",
		unchanged, changed, ms, published.Seconds(), ociUnchanged)
	return nil
}

// pinAll pins every site by itself and measures one more pin.
func (b *bench) pinAll(all []*site, settle func() error) error {
	f := b.fleet
	for i, name := range f.sites {
		if f.pins[name] == "" {
			f.pins[name] = versions[3+i%2]
		}
	}
	f.pins[all[0].name] = "1.3.0"
	took, err := f.publish(b.ctx, b.ociSpec)
	if err != nil {
		return err
	}
	if err := settle(); err != nil {
		return err
	}
	unchanged, err := b.cost(all[0], b.web)
	if err != nil {
		return err
	}
	f.pins[all[0].name] = "1.4.0"
	if _, err := f.publish(b.ctx); err != nil {
		return err
	}
	whole, err := f.inOne()
	if err != nil {
		return err
	}
	own, err := b.cost(all[0], b.web)
	if err != nil {
		return err
	}
	others, err := b.cost(all[2], b.web)
	if err != nil {
		return err
	}
	always, more := b.documents()
	plain, err := b.plainCost(append(always, more...)...)
	if err != nil {
		return err
	}
	fmt.Printf("all pinned singly (one fleet document would be %d bytes): nothing new %d, one new pin: %d at that site, %d at another, plain %d (%.1fx); publish %.2f s\n",
		whole, unchanged, own, others, plain, float64(plain)/float64(others), took.Seconds())
	return nil
}

// verified runs verify in a process of its own.
func (b *bench) verified(site string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(b.ctx, self, "verify", b.fleet.web, site)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}
