package ladder

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dhow/bundle"
	"dhow/manifest"

	"github.com/opencontainers/go-digest"
)

// name makes up a digest.
func name(text string) digest.Digest { return digest.FromString(text) }

// layerNamed is a layer of 1000 bytes that is carried in 400.
func layerNamed(n string) manifest.Layer {
	return manifest.Layer{Blob: manifest.Blob{Digest: name(n + ".gz"), Size: 400}, DiffID: name(n), DiffSize: 1000}
}

func imageNamed(n string, layers ...string) manifest.PlatformImage {
	image := manifest.PlatformImage{Config: manifest.Blob{Digest: name(n), Size: 10}}
	for _, l := range layers {
		image.Layers = append(image.Layers, layerNamed(l))
	}
	return image
}

// deltaNamed is called LAYER-IMAGE.
func deltaNamed(layer, image, from string, size int64) manifest.Delta {
	return manifest.Delta{Blob: manifest.Blob{Digest: name(layer + "-" + image), Size: size}, Base: name(image), From: from, Spool: 50}
}

// waysTo reads lines as "LAYER full SIZE" and "LAYER IMAGE RELEASE SIZE".
func waysTo(t *testing.T, lines ...string) *manifest.Ways {
	t.Helper()
	w := new(manifest.Ways)
	by := map[string]int{}
	for _, line := range lines {
		f := strings.Fields(line)
		var size int64
		if _, err := fmt.Sscan(f[len(f)-1], &size); err != nil {
			t.Fatal(err)
		}
		i, ok := by[f[0]]
		if !ok {
			i = len(w.Layers)
			by[f[0]] = i
			w.Layers = append(w.Layers, manifest.LayerWays{DiffID: name(f[0])})
		}
		if f[1] == "full" {
			w.Layers[i].Full = &manifest.Blob{Digest: name(f[0] + ".zst"), Size: size}
		} else {
			w.Layers[i].Deltas = append(w.Layers[i].Deltas, deltaNamed(f[0], f[1], f[2], size))
		}
	}
	return w
}

// put makes a file of a size in the store, or in its folder of parts.
func put(t *testing.T, s *bundle.Store, dir, n string, size int64) {
	t.Helper()
	path := filepath.Join(s.Dir(), dir, name(n).Encoded())
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

// text is a plan as the tests write it.
func (p Plan) text(names map[digest.Digest]string) string {
	var b strings.Builder
	for _, s := range p.Steps {
		between := ""
		if s.Between {
			between = " between"
		}
		r := s.Rungs[0]
		from := ""
		if r.Kind == Delta {
			from = " from " + r.From
		}
		fmt.Fprintf(&b, "%s %s%s %d%s; ", names[s.Layer.DiffID], r.Kind, from, r.Bytes, between)
	}
	fmt.Fprintf(&b, "bytes %d disk %d", p.Bytes, p.Disk)
	if p.Roomier != nil {
		fmt.Fprintf(&b, "; with room bytes %d disk %d", p.Roomier.Bytes, p.Roomier.Disk)
	}
	return b.String()
}

func TestMake(t *testing.T) {
	names := map[digest.Digest]string{}
	for _, n := range []string{"os", "app0", "app1", "app2", "lib0", "lib1", "lib2"} {
		names[name(n)] = n
	}
	one := Release{Version: "1.0.0", Images: []manifest.PlatformImage{imageNamed("web0", "os", "app0")}}
	two := Release{Version: "1.1.0", Images: []manifest.PlatformImage{imageNamed("web1", "os", "app1")}}
	for _, c := range []struct {
		what    string
		plain   string // layers that are here plain
		carried string
		blobs   map[string]int64 // whole blobs that are here
		parts   map[string]int64
		layers  string
		ways    []string
		known   []Release
		engine  string
		refused string
		cramped string
		room    int64
		want    string
	}{
		{what: "all is here", plain: "os", carried: "app2", layers: "os app2", want: "bytes 0 disk 0"},
		{what: "no ways", carried: "os", layers: "os app2", want: "app2 carried 400; bytes 400 disk 400"},
		{
			what: "delta from the store", carried: "os app0", layers: "os app2", known: []Release{one}, ways: []string{"app2 web0 1.0.0 5", "app2 full 300"},
			want: "app2 delta from 1.0.0 5; bytes 5 disk 3055", // what is fetched, the layer, the base unpacked, the spool
		},
		{
			what: "a plain base takes no room", plain: "os app0", layers: "os app2", known: []Release{one}, ways: []string{"app2 web0 1.0.0 5"},
			want: "app2 delta from 1.0.0 5; bytes 5 disk 1055",
		},
		{
			what: "the base is not here", carried: "os", layers: "os app2", known: []Release{one}, ways: []string{"app2 web0 1.0.0 5", "app2 full 300"},
			want: "app2 full 300; bytes 300 disk 1300",
		},
		{
			what: "the engine has the base", layers: "os app2", known: []Release{one}, ways: []string{"app2 web0 1.0.0 5"}, engine: "web0",
			want: "os carried 400; app2 delta from 1.0.0 5; bytes 405 disk 5455",
		},
		{
			what: "the engine has some of the base, and saves all of it", plain: "os", layers: "os app2", known: []Release{one},
			ways: []string{"app2 web0 1.0.0 5"}, engine: "web0", want: "app2 delta from 1.0.0 5; bytes 5 disk 4055",
		},
		{
			what: "the base is known to nobody", carried: "os app0", layers: "app2", ways: []string{"app2 web0 1.0.0 5"},
			want: "app2 carried 400; bytes 400 disk 400",
		},
		{
			what: "refused", carried: "os app0", layers: "app2", known: []Release{one}, ways: []string{"app2 web0 1.0.0 5", "app2 full 300"},
			refused: "app2-web0", want: "app2 full 300; bytes 300 disk 1300",
		},
		{
			what: "all refused", carried: "os app0", layers: "app2", known: []Release{one}, ways: []string{"app2 web0 1.0.0 5", "app2 full 300"},
			refused: "app2-web0 app2.zst", want: "app2 carried 400; bytes 400 disk 400",
		},
		{
			what: "a base that is refused", carried: "os app0", layers: "app2", known: []Release{one}, ways: []string{"app2 web0 1.0.0 5", "app2 full 300"},
			refused: "web0", want: "app2 full 300; bytes 300 disk 1300",
		},
		{
			what: "a part counts", carried: "os app0", layers: "app2", known: []Release{one}, ways: []string{"app2 web0 1.0.0 50", "app2 full 300"},
			parts: map[string]int64{"app2.gz": 380, "app2.zst": 10}, want: "app2 carried 20; bytes 20 disk 20",
		},
		{
			what: "a part that is too long counts for nothing less than whole", layers: "app2", ways: []string{"app2 full 300"},
			parts: map[string]int64{"app2.zst": 301}, want: "app2 full 0; bytes 0 disk 1000",
		},
		{
			what: "what has been fetched costs nothing", carried: "os app0", layers: "app2", known: []Release{one},
			ways: []string{"app2 web0 1.0.0 50", "app2 full 300"}, blobs: map[string]int64{"app2.zst": 300}, want: "app2 full 0; bytes 0 disk 1000",
		},
		{
			what: "a delta that is larger than the layer", plain: "os app0", layers: "app2", known: []Release{one}, ways: []string{"app2 web0 1.0.0 401"},
			want: "app2 carried 400; bytes 400 disk 400",
		},
		{
			what: "the smaller of two deltas", plain: "os app0 app1", layers: "app2", known: []Release{one, two},
			ways: []string{"app2 web0 1.0.0 60", "app2 web1 1.1.0 50"}, want: "app2 delta from 1.1.0 50; bytes 50 disk 1100",
		},
		{
			what: "no room for the base", carried: "os app0", layers: "app2", known: []Release{one}, ways: []string{"app2 web0 1.0.0 5", "app2 full 300"},
			room: 3054, want: "app2 full 300; bytes 300 disk 1300; with room bytes 5 disk 3055",
		},
		{
			what: "no room for anything but the layer as it is carried", carried: "os app0", layers: "app2", known: []Release{one},
			ways: []string{"app2 web0 1.0.0 5", "app2 full 300"}, room: 1000, want: "app2 carried 400; bytes 400 disk 400; with room bytes 5 disk 3055",
		},
		{
			what: "no room at all: what needs the least", carried: "os app0", layers: "app2", known: []Release{one}, ways: []string{"app2 web0 1.0.0 5"},
			room: 1, want: "app2 carried 400; bytes 400 disk 400; with room bytes 5 disk 3055",
		},
		{
			what: "room for one of two", plain: "os lib0 app0", layers: "lib2 app2", ways: []string{"lib2 all0 1.0.0 5", "app2 all0 1.0.0 6"},
			known: []Release{{Version: "1.0.0", Images: []manifest.PlatformImage{imageNamed("all0", "os", "lib0", "app0")}}},
			room:  1500, want: "lib2 delta from 1.0.0 5; app2 carried 400; bytes 405 disk 1455; with room bytes 11 disk 2061",
		},
		{
			what: "not the rung that takes the most, but that costs the least to do without", plain: "os lib0 app0", carried: "big0",
			layers: "lib2 app2", ways: []string{"lib2 lib0 1.0.0 5", "app2 app0 1.0.0 300"},
			known: []Release{{Version: "1.0.0", Images: []manifest.PlatformImage{imageNamed("lib0", "os", "lib0", "big0"), imageNamed("app0", "os", "app0")}}},
			room:  3100, want: "lib2 delta from 1.0.0 5; app2 carried 400; bytes 405 disk 2455; with room bytes 305 disk 3355",
		},
		{
			what: "no room for a base of several", plain: "os app0", carried: "lib0 big0", layers: "lib2 app2",
			ways:  []string{"lib2 all0 1.0.0 5", "app2 all0 1.0.0 6", "lib2 full 300", "app2 full 310"},
			known: []Release{{Version: "1.0.0", Images: []manifest.PlatformImage{imageNamed("all0", "os", "lib0", "big0", "app0")}}},
			room:  2700, want: "lib2 full 300; app2 full 310; bytes 610 disk 2610; with room bytes 11 disk 4061",
		},
		{
			what: "cramped, whatever was planned", plain: "os app0", layers: "app2", known: []Release{one}, ways: []string{"app2 web0 1.0.0 5"},
			cramped: "app2-web0", want: "app2 carried 400; bytes 400 disk 400; with room bytes 5 disk 1055",
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			s, err := bundle.OpenStore(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range strings.Fields(c.plain) {
				put(t, s, "blobs/sha256", n, 1000)
			}
			for _, n := range strings.Fields(c.carried) {
				put(t, s, "blobs/sha256", n+".gz", 400)
			}
			for n, size := range c.blobs {
				put(t, s, "blobs/sha256", n, size)
			}
			for n, size := range c.parts {
				put(t, s, "partial", n, size)
			}
			q := Query{Store: s, Ways: waysTo(t, c.ways...), Known: c.known, Engine: set(c.engine), Refused: set(c.refused), Room: c.room, cramped: set(c.cramped)}
			for _, n := range strings.Fields(c.layers) {
				q.Layers = append(q.Layers, layerNamed(n))
			}
			if got := Make(q).text(names); got != c.want {
				t.Errorf("planned\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func set(words string) map[digest.Digest]bool {
	m := map[digest.Digest]bool{}
	for _, w := range strings.Fields(words) {
		m[name(w)] = true
	}
	return m
}

// Chains are worth it when they save more than the documents that they need.
func TestMakeChain(t *testing.T) {
	const kb = 1 << 10
	names := map[digest.Digest]string{}
	layer := func(n string) manifest.Layer {
		names[name(n)] = n
		return manifest.Layer{Blob: manifest.Blob{Digest: name(n + ".gz"), Size: 9000 * kb}, DiffID: name(n), DiffSize: 20000 * kb}
	}
	image := func(n string, layers ...string) manifest.PlatformImage {
		i := manifest.PlatformImage{Config: manifest.Blob{Digest: name(n), Size: 10}}
		for _, l := range layers {
			i.Layers = append(i.Layers, layer(l))
		}
		return i
	}
	first := Release{Version: "1.0.0", Images: []manifest.PlatformImage{image("web0", "os", "lib0", "app0")}}
	between := func(ways ...string) Release {
		return Release{Version: "1.1.0", Images: []manifest.PlatformImage{image("web1", "os", "lib1", "app1")}, Ways: waysTo(t, ways...)}
	}
	both := []string{fmt.Sprint("lib1 web0 1.0.0 ", 100*kb), fmt.Sprint("app1 web0 1.0.0 ", 200*kb)}
	last := []string{fmt.Sprint("lib2 web1 1.1.0 ", 10*kb), fmt.Sprint("app2 web1 1.1.0 ", 20*kb)}
	for _, c := range []struct {
		what   string
		layers string
		ways   []string
		known  []Release
		want   string
	}{
		{
			what: "two deltas, one after the other", layers: "os lib2 app2", ways: last, known: []Release{first, between(both...)},
			want: "lib1 delta from 1.0.0 102400 between; app1 delta from 1.0.0 204800 between; " +
				"lib2 delta from 1.1.0 10240; app2 delta from 1.1.0 20480; bytes 337920",
		},
		{
			what: "a direct delta is cheaper", layers: "os lib2 app2", known: []Release{first, between(both...)},
			ways: append([]string{fmt.Sprint("lib2 web0 1.0.0 ", 150*kb), fmt.Sprint("app2 web0 1.0.0 ", 230*kb)}, last...),
			want: "lib2 delta from 1.0.0 153600; app2 delta from 1.0.0 235520; bytes 389120",
		},
		{
			what: "direct for one, and both made on the way all the same", layers: "os lib2 app2", known: []Release{first, between(both...)},
			ways: append([]string{fmt.Sprint("lib2 web0 1.0.0 ", 8*kb)}, last...),
			want: "lib1 delta from 1.0.0 102400 between; app1 delta from 1.0.0 204800 between; " +
				"lib2 delta from 1.0.0 8192; app2 delta from 1.1.0 20480; bytes 335872",
		},
		{
			what: "a layer in between that is wanted itself", layers: "os lib1 app2", known: []Release{first, between(both...)},
			ways: append([]string{fmt.Sprint("lib1 web0 1.0.0 ", 100*kb)}, last...),
			want: "lib1 delta from 1.0.0 102400; app1 delta from 1.0.0 204800 between; app2 delta from 1.1.0 20480; bytes 327680",
		},
		{
			what: "nothing leads to the image in between", layers: "os lib2 app2", ways: last, known: []Release{first, between()},
			want: "lib2 carried 9216000; app2 carried 9216000; bytes 18432000",
		},
		{
			what: "not over three", layers: "os lib2", ways: []string{"lib2 web1 1.1.0 1000"},
			known: []Release{
				{Version: "0.9.0", Images: []manifest.PlatformImage{image("old", "os", "lib9")}},
				{Version: "1.0.0", Images: first.Images, Ways: waysTo(t, "lib0 old 0.9.0 1000", "app0 old 0.9.0 1000")},
				between("lib1 web0 1.0.0 1000", "app1 web0 1.0.0 1000"),
			},
			want: "lib2 carried 9216000; bytes 9216000",
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			s, err := bundle.OpenStore(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			here := []string{"os", "lib0", "app0"}
			if c.what == "not over three" {
				here = []string{"os", "lib9"}
			}
			for _, n := range here {
				put(t, s, "blobs/sha256", n, 20000*kb)
			}
			q := Query{Store: s, Ways: waysTo(t, c.ways...), Known: c.known}
			for _, n := range strings.Fields(c.layers) {
				q.Layers = append(q.Layers, layer(n))
			}
			got, _, _ := strings.Cut(Make(q).text(names), " disk")
			if got != c.want {
				t.Errorf("planned\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}
