package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"dhow/bundle/bundletest/badline"

	"github.com/opencontainers/go-digest"
)

// bound is how long a client may take for a line that falls silent.
const bound = 3 * time.Minute

// scenario is a bad line, and which image comes over it.
type scenario struct {
	name    string
	image   string
	release string
	line    badline.Line
	kill    bool // the client gets SIGKILL when half is there, and is started again
}

var scenarios = []scenario{
	{"FIN after 30 MB", "big", "1.0.0", badline.Line{After: 30e6}, false},
	{"RST after 1 MB", "big", "1.0.0", badline.Line{After: 1e6, End: badline.Reset}, false},
	{"silent after 110 MB", "big", "1.0.0", badline.Line{After: 110e6, End: badline.Silent}, false},
	{"256 kbit/s, 600 ms, 2 MB", "small", "1.1.0", badline.Line{Rate: 32_000, Trip: 600 * time.Millisecond}, false},
	{"SIGKILL at half", "big", "1.0.0", badline.Line{Rate: 50e6}, true},
}

// The lines whose figures are printed at the end.
const (
	fin   = 0
	reset = 1
	kill  = 4
)

// layer is what a registry says of an image's layer.
type layer struct {
	Digest digest.Digest
	Size   int64
	diffID digest.Digest
}

const repository = "dhow-bench/flaky"

func ask(ctx context.Context, registry, tag string) (l layer, err error) {
	var m struct {
		Config layer
		Layers []layer
	}
	if err := get(ctx, "http://"+registry+"/v2/"+repository+"/manifests/"+tag, &m); err != nil {
		return l, err
	}
	var c struct {
		RootFS struct {
			DiffIDs []digest.Digest `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := get(ctx, "http://"+registry+"/v2/"+repository+"/blobs/"+m.Config.Digest.String(), &c); err != nil {
		return l, err
	}
	if len(m.Layers) != 1 || len(c.RootFS.DiffIDs) != 1 {
		return l, fmt.Errorf("%s:%s has %d layers", repository, tag, len(m.Layers))
	}
	l = m.Layers[0]
	l.diffID = c.RootFS.DiffIDs[0]
	return l, nil
}

func get(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/vnd.docker.distribution.manifest.v2+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("%s: %s, error %w", url, resp.Status, err)
	}
	return nil
}

// bench is one run.
type bench struct {
	ctx      context.Context
	registry string
	work     string
	tries    int
	layers   map[string]layer
}

// client is a way to bring an image here. command returns what to run against an address; there reads afterwards whether the image is whole.
type client struct {
	name    string
	command func(address, folder string, s scenario) *exec.Cmd
	there   func(address, folder string, s scenario) bool
	forget  func(address, folder string, s scenario)
}

// result is how it went.
type result struct {
	moved, size  int64
	ended        int64
	done         bool
	tries        int
	took         time.Duration
	last         string // what the client said when it gave up
	boundReached bool
}

func measure(ctx context.Context, registry, work string, tries int) error {
	b := &bench{ctx, registry, work, tries, map[string]layer{}}
	for _, tag := range []string{"big", "small"} {
		l, err := ask(ctx, registry, tag)
		if err != nil {
			return err
		}
		b.layers[tag] = l
	}
	clients := b.clients()
	results := make([][]result, len(clients))
	for _, s := range scenarios {
		for i, c := range clients { // one after the other, so that none takes another's time
			r, err := b.one(c, s)
			if err != nil {
				return err
			}
			results[i] = append(results[i], r)
		}
	}
	report(clients, results, tries)
	return ctx.Err()
}

func (b *bench) clients() []client {
	ref := func(address string, s scenario) string { return address + "/" + repository + ":" + s.image }
	bundle := func(folder string) string { return filepath.Join(folder, "bundle.tar") }
	command := func(name string, args ...string) *exec.Cmd { return exec.CommandContext(b.ctx, name, args...) }
	return []client{
		{
			"dhow",
			func(address, folder string, s scenario) *exec.Cmd {
				return command(filepath.Join(b.work, "bin", "dhow"), "fetch", "--release", s.release, "--from", "oci://"+address+"/dhow-bench/fleet",
					"--root", filepath.Join(b.work, "1.root.json"), "--yes", "--cache", filepath.Join(folder, "cache"), "-o", bundle(folder))
			},
			func(_, folder string, s scenario) bool {
				f, err := os.Open(bundle(folder))
				if err != nil {
					return false
				}
				defer f.Close()
				return holds(f, b.layers[s.image].Digest)
			},
			func(_, folder string, _ scenario) { _ = os.RemoveAll(folder) },
		},
		{
			"docker pull",
			func(address, _ string, s scenario) *exec.Cmd { return command("docker", "pull", "-q", ref(address, s)) },
			func(address, _ string, s scenario) bool {
				save := command("docker", "save", ref(address, s))
				out, err := save.StdoutPipe()
				if err != nil || save.Start() != nil {
					return false
				}
				whole := holds(out, b.layers[s.image].diffID)
				_, _ = io.Copy(io.Discard, out)
				return save.Wait() == nil && whole
			},
			func(address, _ string, s scenario) {
				_ = exec.Command("docker", "rmi", ref(address, s)).Run() // also when the benchmark is being ended
			},
		},
		{
			"skopeo copy",
			func(address, folder string, s scenario) *exec.Cmd {
				return command("skopeo", "copy", "-q", "--insecure-policy", "--src-tls-verify=false", "docker://"+ref(address, s), "oci:"+folder+":"+s.image)
			},
			func(_, folder string, s scenario) bool {
				want := b.layers[s.image].Digest
				f, err := os.Open(filepath.Join(folder, "blobs", "sha256", want.Encoded()))
				if err != nil {
					return false
				}
				defer f.Close()
				got, err := digest.FromReader(f)
				return err == nil && got == want
			},
			func(_, folder string, _ scenario) { _ = os.RemoveAll(folder) },
		},
	}
}

// holds reads a tar and says whether one of its files has this digest.
func holds(r io.Reader, want digest.Digest) bool {
	found := false
	for t := tar.NewReader(r); ; {
		if _, err := t.Next(); err != nil {
			return found && err == io.EOF
		}
		got, err := digest.FromReader(t)
		if err != nil {
			return false
		}
		found = found || got == want
	}
}

// one lets a client bring an image over a line. Each gets as many starts of its command, as a person would give it; one that was killed gets
// another.
func (b *bench) one(c client, s scenario) (r result, err error) {
	folder := filepath.Join(b.work, strings.Fields(c.name)[0])
	half := make(chan struct{})
	var once sync.Once
	r.size = b.layers[s.image].Size
	line := s.line
	line.Seen = func(n int64) {
		if n >= r.size/2 {
			once.Do(func() { close(half) })
		}
	}
	f, err := badline.Open(b.registry, line)
	if err != nil {
		return r, err
	}
	defer f.Close()
	defer c.forget(f.Address(), folder, s)
	start, tries := time.Now(), b.tries
	for r.tries < tries && !r.done && !r.boundReached && b.ctx.Err() == nil {
		r.tries++
		cmd := c.command(f.Address(), folder, s)
		cmd.WaitDelay = time.Second
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		began := time.Now()
		if err := cmd.Start(); err != nil {
			return r, err
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		killed := (<-chan struct{})(nil)
		if s.kill && r.tries == 1 {
			killed = half
			tries++
		}
		select {
		case err = <-ended:
		case <-killed:
			_ = cmd.Process.Kill()
			err = <-ended
		case <-b.limit(s, start):
			_ = cmd.Process.Kill()
			<-ended
			r.boundReached = true
		}
		r.took += time.Since(began)
		r.done = err == nil && !r.boundReached && c.there(f.Address(), folder, s)
		text := strings.TrimSpace(out.String())
		r.last = text[strings.LastIndex(text, "\n")+1:]
	}
	r.moved, r.ended = f.Moved(), f.Ended()
	return r, b.ctx.Err()
}

// limit ends what would hang for ever. Clients that end by themselves are not hurried.
func (b *bench) limit(s scenario, start time.Time) <-chan time.Time {
	if s.line.End != badline.Silent {
		return time.After(30 * time.Minute)
	}
	return time.After(time.Until(start.Add(bound)))
}
