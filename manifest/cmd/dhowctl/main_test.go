package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	ggcr "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/opencontainers/go-digest"
	"github.com/rogpeppe/go-internal/testscript"

	"dhow/manifest/sign"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"dhowctl": cheapKeys, "docker-save": dockerSave})
}

// cheapKeys is dhowctl with keys that are encrypted in no time.
func cheapKeys() {
	keyOptions = []sign.Option{sign.WithWork(4)}
	settle = 20 * time.Millisecond
	main()
}

// TestScripts runs testdata/*.txtar. Each script has a registry in memory at $REGISTRY and the passphrase in the environment, and these
// commands more:
//
//	push REF [PLATFORM…]   puts an image (or an index of several) into the registry
//	push-program REF TEXT  puts an image of a system that stays the same and a program that holds TEXT in its middle
//	make-program FILE PLATFORM TEXT  writes a file that has the headers of a program for linux and holds TEXT in its middle
//	flip FILE WORD         flips a bit of FILE behind the first WORD in it, or in its middle when WORD is ""
//	exits CODE PROGRAM ARG… runs a program and compares its exit code
//	cp-fleet FROM TO       copies a fleet repository as git would: without keys and store
//	sign-report DIR SITE NUMBER RELEASE KEY [RESULT]  writes the report of a site of fleet f, as the site with that key does, made an hour ago
//	cut FILE               takes the second half of FILE away
//
// The program docker-save FILE REF… writes images as docker save does.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			s := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
			e.Defer(s.Close)
			e.Setenv("REGISTRY", strings.TrimPrefix(s.URL, "http://"))
			e.Setenv(passphraseVariable, "correct horse")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"push": push, "push-program": pushProgram, "make-program": makeProgram, "flip": flip, "cut": cut, "exits": exits, "cp-fleet": copyFleet, "sign-report": signReport},
	})
}

// testImage is an image whose only layer holds its name and some bytes.
func testImage(ref, platform string) (ggcr.Image, error) {
	return imageOf(platform, ref+platform+noise(ref+platform))
}

// imageOf is an image with a layer for each content.
func imageOf(platform string, contents ...string) (ggcr.Image, error) {
	img := empty.Image
	for _, content := range contents {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := w.WriteHeader(&tar.Header{Name: "file", Typeflag: tar.TypeReg, Size: int64(len(content)), Mode: 0o644}); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(w, content); err != nil {
			return nil, err
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
		if err != nil {
			return nil, err
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			return nil, err
		}
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, _ = strings.Cut(platform, "/")
	return mutate.ConfigFile(img, config)
}

// noise does not compress, and is always the same for the same seed. Of something large there is more, and only the name of
// it changes.
func noise(seed string) string {
	large := strings.Contains(seed, "large")
	if large {
		seed = "large"
	}
	h := fnv.New64a()
	_, _ = io.WriteString(h, seed)
	random := rand.New(rand.NewPCG(h.Sum64(), 1))
	data := make([]byte, 100_000)
	if large {
		data = make([]byte, 1_300_000)
	}
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	return string(data)
}

func push(ts *testscript.TestScript, _ bool, args []string) {
	r, err := name.ParseReference(args[0])
	ts.Check(err)
	if len(args) < 2 {
		img, err := testImage(r.Identifier()+r.Context().RepositoryStr(), "linux/amd64")
		ts.Check(err)
		ts.Check(remote.Write(r, img))
		return
	}
	index := ggcr.ImageIndex(empty.Index)
	for _, platform := range args[1:] {
		img, err := testImage(r.Identifier()+r.Context().RepositoryStr(), platform)
		ts.Check(err)
		p, err := ggcr.ParsePlatform(platform)
		ts.Check(err)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: ggcr.Descriptor{Platform: p}})
	}
	ts.Check(remote.WriteIndex(r, index))
}

func pushProgram(ts *testscript.TestScript, _ bool, args []string) {
	r, err := name.ParseReference(args[0])
	ts.Check(err)
	system, program := noise("system"), noise("program")
	img, err := imageOf("linux/amd64", system+system, program[:50_000]+args[1]+program[50_000:])
	ts.Check(err)
	ts.Check(remote.Write(r, img))
}

func makeProgram(ts *testscript.TestScript, _ bool, args []string) {
	machine := map[string]elf.Machine{"linux/amd64": elf.EM_X86_64, "linux/arm64": elf.EM_AARCH64}[args[1]]
	var b bytes.Buffer
	ts.Check(binary.Write(&b, binary.LittleEndian, elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT), Ehsize: 64, Phentsize: 56, Shentsize: 64,
	}))
	code := noise("program for " + args[1])
	b.WriteString(strings.Repeat(code[:50_000]+args[2]+code[50_000:], 3))
	file := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Dir(file), 0o755))
	ts.Check(os.WriteFile(file, b.Bytes(), 0o755))
}

func flip(ts *testscript.TestScript, _ bool, args []string) {
	file := ts.MkAbs(args[0])
	data, err := os.ReadFile(file)
	ts.Check(err)
	at := len(data) / 2
	if args[1] != "" {
		at = bytes.Index(data, []byte(args[1])) + len(args[1])
	}
	data[at] ^= 1
	ts.Check(os.WriteFile(file, data, 0o644))
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	code := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

func copyFleet(ts *testscript.TestScript, _ bool, args []string) {
	to := ts.MkAbs(args[1])
	ts.Check(os.CopyFS(to, os.DirFS(ts.MkAbs(args[0]))))
	for _, ignored := range []string{"keys", "store"} {
		ts.Check(os.RemoveAll(filepath.Join(to, ignored)))
	}
}

func cut(ts *testscript.TestScript, _ bool, args []string) {
	file := ts.MkAbs(args[0])
	info, err := os.Stat(file)
	ts.Check(err)
	ts.Check(os.Truncate(file, info.Size()/2))
}

// dockerSave writes a docker archive: docker-save FILE REF…
func dockerSave() {
	if err := writeArchive(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func writeArchive(file string, refs []string) error {
	f, err := os.Create(filepath.Clean(file))
	if err != nil {
		return err
	}
	defer f.Close()
	z := gzip.NewWriter(f)
	defer z.Close()
	w := tar.NewWriter(z)
	defer w.Close()
	add := func(name string, data []byte) error {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(data)), Mode: 0o644}); err != nil {
			return err
		}
		_, err := w.Write(data)
		return err
	}
	var list []map[string]any
	for _, ref := range refs {
		img, err := testImage(ref, "linux/amd64")
		if err != nil {
			return err
		}
		config, err := img.RawConfigFile()
		if err != nil {
			return err
		}
		layers, err := img.Layers()
		if err != nil {
			return err
		}
		r, err := layers[0].Uncompressed()
		if err != nil {
			return err
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		id := digest.FromBytes(config).Encoded()
		if err := add(id+"/layer.tar", data); err != nil {
			return err
		}
		if err := add(id+".json", config); err != nil {
			return err
		}
		list = append(list, map[string]any{"Config": id + ".json", "RepoTags": []string{ref}, "Layers": []string{id + "/layer.tar"}})
	}
	data, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return add("manifest.json", data)
}
