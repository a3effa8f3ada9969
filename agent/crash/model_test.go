package crash

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

const regular, folder = 0o100600, modeDir | 0o700

// A log for the tests: what an ordinary safe replacement of a file does. Node 2 is the old file, 3 the new one.
func replacement() *Log {
	file := func(id uint64, name string) Op {
		return Op{Kind: Names, Node: id, New: &Made{Attr: Attr{Mode: regular}}, Changes: []Binding{{Root, name, id}}}
	}
	attr := Attr{Mode: regular}
	return &Log{Ops: []Op{
		file(2, "a"),
		{Kind: Data, Node: 2, Bytes: []byte("old"), Attr: attr},
		{Kind: Sync, Node: 2},
		{Kind: Sync, Node: Root},
		{Kind: Mark, Text: "old"},
		file(3, "tmp"), // 5
		{Kind: Data, Node: 3, Bytes: []byte(strings.Repeat("new ", 300)), Attr: attr},
		{Kind: Sync, Node: 3},
		{Kind: Names, Changes: []Binding{{Root, "tmp", 0}, {Root, "a", 3}}}, // 8
		{Kind: Sync, Node: Root},
		{Kind: Mark, Text: "new"},
	}}
}

// show writes a state as "name=content name=content"; long contents are shortened and zeros stand as a point.
func show(n *Node, prefix string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(n.Names)) {
		child := n.Names[name]
		if child.Names != nil {
			all = append(all, prefix+name+"/ "+show(child, prefix+name+"/"))
			continue
		}
		text := strings.ReplaceAll(string(child.Data), "\x00", ".")
		if len(text) > 8 {
			text = fmt.Sprintf("%s…%d", text[:4], len(text))
		}
		all = append(all, prefix+name+"="+text)
	}
	return strings.TrimSpace(strings.Join(all, " "))
}

func TestState(t *testing.T) {
	none := func(int, int) bool { return false }
	all := func(int, int) bool { return true }
	whole := func(_, part int) bool { return part == Whole }
	content := func(_, part int) bool { return part != Whole }
	only := func(n int) func(int, int) bool { return func(op, _ int) bool { return op == n } }
	for _, c := range []struct {
		name string
		at   int
		keep func(op, part int) bool
		want string
	}{
		{"nothing has happened", 0, all, ""},
		{"a name without content", 2, only(0), "a="},
		{"a size without content", 2, whole, "a=..."},
		{"content that no size shows", 2, func(op, part int) bool { return op == 0 || part == 0 }, "a="},
		{"a synced file whose name is lost", 3, none, ""},
		{"all synced", 4, none, "a=old"},
		{"a new file by chance", 7, all, "a=old tmp=new …1200"},
		{"torn", 7, func(op, part int) bool { return part != 0 }, "a=old tmp=....…1200"},
		{"renamed, not synced, lost", 9, none, "a=old"},
		{"only the name before is kept", 9, only(5), "a=old tmp=new …1200"},
		{"the rename is kept, the name before is not", 9, only(8), "a=new …1200"},
		{"renamed and synced", 10, none, "a=new …1200"},
		{"only content", 7, content, "a=old"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := NewStates(replacement()).State(Crash{At: c.at, Block: 512, Keep: c.keep})
			if s := show(got.Root, ""); s != c.want {
				t.Errorf("left is %q, want %q", s, c.want)
			}
		})
	}
}

func TestTruncate(t *testing.T) {
	l := replacement()
	attr := Attr{Mode: regular}
	l.Ops = append(l.Ops[:4], Op{Kind: Truncate, Node: 2, Off: 1, Attr: attr}, Op{Kind: Truncate, Node: 2, Off: 4, Attr: attr},
		Op{Kind: Data, Node: 2, Off: 3, Bytes: []byte("x"), Attr: attr})
	for want, keep := range map[string]func(op, part int) bool{
		"a=old":  func(int, int) bool { return false },
		"a=o":    func(op, _ int) bool { return op == 4 },
		"a=old.": func(op, _ int) bool { return op == 5 },
		"a=o...": func(op, _ int) bool { return op <= 5 },
		"a=o..x": func(int, int) bool { return true },
		"a=oldx": func(op, _ int) bool { return op == 6 },
	} {
		if got := show(NewStates(l).State(Crash{At: 7, Block: 512, Keep: keep}).Root, ""); got != want {
			t.Errorf("left is %q, want %q", got, want)
		}
	}
}

// A rename between folders becomes certain with the fsync of either, and never loses the file.
func TestRenameBetweenFolders(t *testing.T) {
	for _, synced := range []uint64{2, 3} {
		l := &Log{Ops: []Op{
			{Kind: Names, Node: 2, New: &Made{Attr: Attr{Mode: folder}}, Changes: []Binding{{Root, "from", 2}}},
			{Kind: Names, Node: 3, New: &Made{Attr: Attr{Mode: folder}}, Changes: []Binding{{Root, "to", 3}}},
			{Kind: Sync, Node: Root},
			{Kind: Names, Node: 4, New: &Made{Attr: Attr{Mode: regular}}, Changes: []Binding{{2, "a", 4}}},
			{Kind: Sync, Node: 2},
			{Kind: Names, Changes: []Binding{{2, "a", 0}, {3, "b", 4}}},
			{Kind: Sync, Node: synced},
		}}
		s := NewStates(l)
		none := func(int, int) bool { return false }
		if got := show(s.State(Crash{At: 6, Block: 512, Keep: none}).Root, ""); got != "from/ from/a= to/" {
			t.Errorf("before the sync: %q", got)
		}
		if got := show(s.State(Crash{At: 7, Block: 512, Keep: none}).Root, ""); got != "from/  to/ to/b=" {
			t.Errorf("after the sync of %d: %q", synced, got)
		}
	}
}

func TestRandomIsRepeatable(t *testing.T) {
	sums := map[uint64]bool{}
	a, b := NewStates(replacement()), NewStates(replacement())
	for n := range uint64(300) {
		x, y := a.Random(5, n), b.Random(5, n)
		p, q := a.State(x), b.State(y)
		if p.Sum != q.Sum || show(p.Root, "") != show(q.Root, "") || x.How != y.How {
			t.Fatalf("number %d is %q once and %q again", n, show(p.Root, ""), show(q.Root, ""))
		}
		if marks := a.Marks(x); len(marks) > 0 && !strings.HasPrefix(show(p.Root, ""), "a=") {
			t.Fatalf("after %v there is %q", marks, show(p.Root, ""))
		}
		sums[p.Sum] = true
	}
	if len(sums) < 30 {
		t.Errorf("only %d different states", len(sums))
	}
}
