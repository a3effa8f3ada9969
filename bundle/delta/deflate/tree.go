package deflate

import "math/bits"

const (
	literalsSize  = 286 // literals, end of block, lengths
	distancesSize = 30
	lengthsSize   = 19 // the codes that code lengths are written with
	codesSize     = 288
	nodesSize     = 2*literalsSize + 1

	endOfBlock  = 256
	firstLength = 257
)

// code is a Huffman code, its bits reversed as they are written.
type code struct {
	bits   uint16
	length uint8
}

// alphabet is what one of a block's three trees codes.
type alphabet struct {
	size       int
	longest    int // bits in a code
	extra      []uint8
	extraFrom  int // the first symbol that has extra bits
	fixed      *[codesSize]code
	fixedCodes bool // whether there is a fixed code for it
}

// tree is a Huffman tree under construction, and the codes that come from it. Nodes from alphabet.size on are inner ones.
type tree struct {
	kind   *alphabet
	freq   [nodesSize]uint16
	parent [nodesSize]uint16
	depth  [nodesSize]uint8
	length [nodesSize]uint8
	codes  [codesSize]code
	last   int // the last symbol that has a code
	heap   [nodesSize]uint16
	live   int // nodes in the heap, from heap[1] on
	sorted int // heap[sorted:] are the nodes that left it, rarest last
}

// before orders nodes: the rarer first, then the shallower. Ties go to a, which is what makes the order zlib's.
func (t *tree) before(a, b uint16) bool {
	return t.freq[a] < t.freq[b] || t.freq[a] == t.freq[b] && t.depth[a] <= t.depth[b]
}

// sift moves the node at k down to its place in the heap.
func (t *tree) sift(k int) {
	node := t.heap[k]
	for j := 2 * k; j <= t.live; j *= 2 {
		if j < t.live && t.before(t.heap[j+1], t.heap[j]) {
			j++
		}
		if t.before(node, t.heap[j]) {
			break
		}
		t.heap[k] = t.heap[j]
		k = j
	}
	t.heap[k] = node
}

// build makes the tree and codes from the frequencies, and adds what the symbols cost with them to the block's sums.
func (b *blockWriter) build(t *tree) {
	k := t.kind
	t.live, t.sorted, t.last = 0, nodesSize, -1
	for n := range k.size {
		t.length[n] = 0
		if t.freq[n] != 0 {
			t.live++
			t.heap[t.live] = uint16(n)
			t.last, t.depth[n] = n, 0
		}
	}
	// The format wants at least two codes, so that there is one of at least one bit.
	for t.live < 2 {
		n := 0
		if t.last < 2 {
			t.last++
			n = t.last
		}
		t.live++
		t.heap[t.live] = uint16(n)
		t.freq[n], t.depth[n] = 1, 0
		b.dynamic--
		if k.fixedCodes {
			b.fixed -= int(k.fixed[n].length)
		}
	}
	for n := t.live / 2; n >= 1; n-- {
		t.sift(n)
	}
	for node := k.size; ; node++ {
		rare := t.heap[1]
		t.heap[1] = t.heap[t.live]
		t.live--
		t.sift(1)
		next := t.heap[1]
		t.sorted -= 2
		t.heap[t.sorted+1], t.heap[t.sorted] = rare, next
		t.freq[node] = t.freq[rare] + t.freq[next]
		t.depth[node] = max(t.depth[rare], t.depth[next]) + 1
		t.parent[rare], t.parent[next] = uint16(node), uint16(node)
		t.heap[1] = uint16(node)
		t.sift(1)
		if t.live < 2 {
			break
		}
	}
	t.sorted--
	t.heap[t.sorted] = t.heap[1]
	b.assign(t)
}

// assign gives each symbol the length and bits of its code.
func (b *blockWriter) assign(t *tree) {
	k := t.kind
	var count [16]int
	over := 0
	t.length[t.heap[t.sorted]] = 0
	for _, n := range t.heap[t.sorted+1:] {
		l := int(t.length[t.parent[n]]) + 1
		if l > k.longest {
			l = k.longest
			over++
		}
		t.length[n] = uint8(l)
		if int(n) > t.last {
			continue
		}
		count[l]++
		extra := 0
		if int(n) >= k.extraFrom {
			extra = int(k.extra[int(n)-k.extraFrom])
		}
		b.dynamic += int(t.freq[n]) * (l + extra)
		if k.fixedCodes {
			b.fixed += int(t.freq[n]) * (int(k.fixed[n].length) + extra)
		}
	}
	if over > 0 {
		b.dynamic += t.shorten(&count, over)
	}
	t.number(&count)
}

// shorten makes a tree legal in which codes were cut to the greatest length, and returns how many bits that costs.
func (t *tree) shorten(count *[16]int, over int) int {
	k, cost := t.kind, 0
	for ; over > 0; over -= 2 {
		l := k.longest - 1
		for count[l] == 0 {
			l--
		}
		count[l]--
		count[l+1] += 2
		count[k.longest]--
	}
	at := nodesSize
	for l := k.longest; l > 0; l-- {
		for n := count[l]; n > 0; {
			at--
			s := t.heap[at]
			if int(s) > t.last {
				continue
			}
			cost += (l - int(t.length[s])) * int(t.freq[s])
			t.length[s] = uint8(l)
			n--
		}
	}
	return cost
}

// number gives out the codes in canonical order.
func (t *tree) number(count *[16]int) {
	var next [17]uint16
	for l := 1; l < 16; l++ {
		next[l+1] = (next[l] + uint16(count[l])) << 1
	}
	for n := range t.last + 1 {
		l := t.length[n]
		if l == 0 {
			t.codes[n] = code{}
			continue
		}
		t.codes[n] = code{bits.Reverse16(next[l]) >> (16 - l), l}
		next[l]++
	}
}
