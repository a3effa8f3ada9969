package archive

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var day = time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// noise is n bytes that no compression makes shorter.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)}).Read(b)
	return b
}

func cutAll(b []byte) (chunks [][]byte) {
	for len(b) > 0 {
		n := cut(b)
		chunks, b = append(chunks, b[:n]), b[n:]
	}
	return chunks
}

func TestChunksHaveTheirSizes(t *testing.T) {
	for name, data := range map[string][]byte{
		"noise": noise(1, 16<<20), "zeros": make([]byte, 3<<20), "text": bytes.Repeat([]byte("insert into obs values (1,2,3);\n"), 100_000),
	} {
		chunks := cutAll(data)
		for i, c := range chunks {
			if len(c) > maxChunk || len(c) <= minChunk && i < len(chunks)-1 {
				t.Errorf("%s: chunk %d of %d has %d bytes", name, i, len(chunks), len(c))
			}
		}
		mean := len(data) / len(chunks)
		if name == "noise" && (mean < normChunk/2 || mean > normChunk*2) {
			t.Errorf("chunks have %d bytes on average", mean)
		}
	}
	for _, n := range []int{0, 1, minChunk, minChunk + 1} {
		if got := cut(make([]byte, n)); got != n {
			t.Errorf("%d bytes are cut at %d", n, got)
		}
	}
}

// What repositories hold was cut by this: another table or mask would store everything once more.
func TestCutsStayWhereTheyAre(t *testing.T) {
	var lengths []int
	for _, c := range cutAll(noise(1, 512<<10)) {
		lengths = append(lengths, len(c))
	}
	got, err := json.Marshal(lengths)
	if want := "[23410,88045,79652,66639,70863,98902,85727,11050]"; err != nil || string(got) != want {
		t.Errorf("cut as %s, want %s (%v)", got, want, err)
	}
}

func TestChunksAreFoundAgainBehindAnInsertion(t *testing.T) {
	data := noise(2, 8<<20)
	old := map[string]bool{}
	for _, c := range cutAll(data) {
		old[string(c)] = true
	}
	again := 0
	for _, c := range cutAll(append([]byte("a new row\n"), data...)) {
		if old[string(c)] {
			again += len(c)
		}
	}
	if lost := len(data) - again; lost > 2*maxChunk {
		t.Errorf("ten bytes at the beginning changed chunks of %d bytes", lost)
	}
}

func TestCutterGivesTheSameWhateverTheWrites(t *testing.T) {
	data := noise(3, 3<<20)
	want := cutAll(data)
	r := rand.New(rand.NewPCG(4, 4))
	var got [][]byte
	c := content{put: func(b []byte) error {
		got = append(got, bytes.Clone(b))
		return nil
	}}
	for rest := data; len(rest) > 0; {
		n := min(len(rest), 1+r.IntN(200_000))
		if _, err := c.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := c.drain(0); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d chunks, want %d", len(got), len(want))
	}
	for i := range got {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("chunk %d differs", i)
		}
	}
}

func TestRefs(t *testing.T) {
	x := ref{digest{1, 0xab}, 77}
	text := `["01ab` + strings.Repeat("0", 60) + `",77]`
	data, err := json.Marshal(x)
	if err != nil || string(data) != text {
		t.Errorf("written as %s (%v)", data, err)
	}
	var back ref
	if err := json.Unmarshal(data, &back); err != nil || back != x {
		t.Errorf("read as %v (%v)", back, err)
	}
	for _, bad := range []string{
		`7`, `[]`, `["",1]`, `["01ab",1]`, `[1,1]`, strings.Replace(text, "77", "0", 1), strings.Replace(text, "77", "600000", 1),
		strings.Replace(text, "77", "-1", 1), strings.Replace(text, "01ab", "01AB", 1), strings.Replace(text, "01ab", "01xx", 1),
	} {
		if err := json.Unmarshal([]byte(bad), &back); err == nil {
			t.Errorf("%s is read as %v", bad, back)
		}
	}
}
