package crash

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
)

// Crash is one way in which the power can fail: after the first At operations, with Keep saying what of those that are not certain by then
// has reached the disk. part is Whole for the operation on names or on attributes, size and times, and the number of a block
// of a write.
type Crash struct {
	At    int
	Block int // bytes that reach the disk together
	Keep  func(op, part int) bool
	How   string // for people
}

// Whole is the part of an operation that is not a block of content.
const Whole = -1

const modeType, modeDir, modeFile = 0o170000, 0o040000, 0o100000

// certain returns for every operation the number of operations after which it is certain; far beyond the end when never.
func (l *Log) certain() []int {
	const never = 1 << 60
	when := make([]int, len(l.Ops))
	open := map[uint64][]int{}      // operations on a file, or on names in a folder, since its last sync
	folder := map[uint64][]uint64{} // where links, pipes and devices stand
	for i, o := range l.Ops {
		when[i] = never
		switch o.Kind {
		case Names:
			for _, c := range o.Changes {
				open[c.Dir] = append(open[c.Dir], i)
				if kind := o.kind(); kind != 0 && kind != modeFile && kind != modeDir || folder[c.Node] != nil {
					folder[c.Node] = append(folder[c.Node], c.Dir)
				}
			}
		case Data, Truncate, Change:
			open[o.Node] = append(open[o.Node], i)
			for _, dir := range folder[o.Node] {
				open[dir] = append(open[dir], i)
			}
		case Sync:
			for _, earlier := range open[o.Node] {
				when[earlier] = min(when[earlier], i+1)
			}
			delete(open, o.Node)
			when[i] = i + 1
		}
	}
	return when
}

// States builds crash states of one log.
type States struct {
	log     *Log
	certain []int
}

// NewStates prepares a log.
func NewStates(l *Log) *States { return &States{log: l, certain: l.certain()} }

// Pending returns the numbers of the operations that are not certain after the first at.
func (s *States) Pending(at int) []int {
	var all []int
	for i, o := range s.log.Ops[:at] {
		if s.certain[i] > at && o.Kind < Sync {
			all = append(all, i)
		}
	}
	return all
}

// Random makes the crash number n of a seed. Cuts go through the whole log; ways to lose take turns.
func (s *States) Random(seed, n uint64) Crash {
	r := rand.New(rand.NewPCG(seed, n))
	c := Crash{At: r.IntN(len(s.log.Ops) + 1), Block: 512 << (3 * r.IntN(2))}
	pending := s.Pending(c.At)
	one := -1
	if len(pending) > 0 {
		one = pending[r.IntN(len(pending))]
	}
	if len(pending) > 0 && r.IntN(4) == 0 {
		one = pending[len(pending)-1]
	}
	half := func() bool { return r.IntN(2) == 0 }
	meta := func(op, part int) bool { return part == Whole }
	names := func(op, _ int) bool { return s.log.Ops[op].Kind == Names }
	ways := []struct {
		how  string
		keep func(op, part int) bool
	}{
		{"all that was not synced is lost", func(int, int) bool { return false }},
		{"nothing is lost", func(int, int) bool { return true }},
		{"content is lost, names and sizes are not", meta},
		{"names and sizes are lost, content is not", func(op, part int) bool { return !meta(op, part) }},
		{"names are lost, files are not", func(op, part int) bool { return !names(op, part) }},
		{"names are kept, files are lost", names},
		{"names and sizes in order up to an operation, content by chance", func(op, part int) bool {
			if meta(op, part) {
				return op <= one
			}
			return half()
		}},
		{"all by chance", func(int, int) bool { return half() }},
		{"little by chance", func(int, int) bool { return r.IntN(8) == 0 }},
		{"most by chance", func(int, int) bool { return r.IntN(8) != 0 }},
		{"one operation is lost", func(op, _ int) bool { return op != one }},
		{"one operation is kept", func(op, _ int) bool { return op == one }},
		{"one operation is torn", func(op, part int) bool { return op < one || op == one && (part == Whole || half()) }},
	}
	way := ways[r.IntN(len(ways))]
	c.How, c.Keep = way.how, way.keep
	if one >= 0 && strings.Contains(way.how, "operation") {
		c.How = fmt.Sprintf("%s: %s", way.how, s.log.Ops[one])
	}
	return c
}

// State is what a crash has left.
type State struct {
	Root *Node
	Lost []int  // operations that were lost in whole or in part
	Sum  uint64 // of the cut and of all that was lost: two states with one sum are the same
}

// Describe tells what the crash lost, for people.
func (s *States) Describe(c Crash, lost []int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "power cut after operation %d of %d, blocks of %d bytes, %s; lost in whole or in part:", c.At, len(s.log.Ops), c.Block, c.How)
	for _, i := range lost {
		fmt.Fprintf(&b, "\n  %d %s", i, s.log.Ops[i])
	}
	return b.String()
}

// build holds a file while a state is put together. Blocks may be there without the size that shows them.
type build struct {
	*Node
	size int64
}

// State returns what the crash has left. It belongs to the caller.
func (s *States) State(c Crash) State {
	var st State
	sum := fnv.New64a()
	fmt.Fprint(sum, c.At)
	nodes := map[uint64]*build{Root: {Node: &Node{ID: Root, Attr: Attr{Mode: modeDir | 0o700}, Names: map[string]*Node{}}}}
	for i, o := range s.log.Ops[:c.At] {
		sure := s.certain[i] <= c.At
		whole := true
		keep := func(part int) bool {
			yes := sure || c.Keep(i, part)
			if !yes {
				fmt.Fprint(sum, " ", i, part)
				if part != Whole {
					fmt.Fprint(sum, "/", c.Block)
				}
			}
			whole = whole && yes
			return yes
		}
		if o.New != nil {
			n := &Node{ID: o.Node, Attr: o.New.clone(), Link: o.New.Link}
			if n.Mode&modeType == modeDir {
				n.Names = map[string]*Node{}
			}
			nodes[o.Node] = &build{Node: n}
		}
		switch o.Kind {
		case Names:
			if keep(Whole) {
				bind(nodes, o.Changes)
			}
		case Data:
			nodes[o.Node].write(o, c.Block, keep)
		case Truncate:
			if n := nodes[o.Node]; keep(Whole) {
				n.Attr, n.size = o.Attr.clone(), o.Off
				if int64(len(n.Data)) > o.Off {
					n.Data = n.Data[:o.Off]
				}
			}
		case Change:
			if keep(Whole) {
				nodes[o.Node].Attr = o.Attr.clone()
			}
		}
		if !whole {
			st.Lost = append(st.Lost, i)
		}
	}
	for _, n := range nodes {
		n.Data = resize(n.Data, n.size)
	}
	st.Root, st.Sum = nodes[Root].Node, sum.Sum64()
	return st
}

func bind(nodes map[uint64]*build, changes []Binding) {
	for _, b := range changes {
		dir := nodes[b.Dir]
		if b.Node == 0 {
			delete(dir.Names, b.Name)
		} else {
			dir.Names[b.Name] = nodes[b.Node].Node
		}
	}
}

func (n *build) write(o Op, block int, keep func(part int) bool) {
	end := o.Off + int64(len(o.Bytes))
	for at, part := o.Off, 0; at < end; part++ {
		next := min(end, (at/int64(block)+1)*int64(block))
		if keep(part) {
			if int64(len(n.Data)) < next {
				n.Data = resize(n.Data, next)
			}
			copy(n.Data[at:next], o.Bytes[at-o.Off:next-o.Off])
		}
		at = next
	}
	if keep(Whole) {
		n.Attr, n.size = o.Attr.clone(), max(n.size, end)
	}
}

func resize(data []byte, size int64) []byte {
	if int64(len(data)) >= size {
		return data[:size]
	}
	return append(data, make([]byte, size-int64(len(data)))...)
}

// Marks returns the texts of the marks that stand before a crash.
func (s *States) Marks(c Crash) []string { return s.log.marks(c.At) }
