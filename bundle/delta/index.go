package delta

import (
	"context"
	"math/bits"
)

// maxSlots bounds the memory of an index: six bytes for each.
const maxSlots = 96 << 20

// sameBlocks is how many blocks with the same content are found.
const sameBlocks = 4

// index finds blocks of the base by their content.
type index struct {
	block  int // length of a block
	places []uint32
	tags   []uint16 // 0: the slot is free
	power  uint64   // factor of the byte that leaves a rolling hash
}

const (
	leastBlock = 16
	factor     = 0x9e3779b97f4a7c15 | 1
)

func newIndex(size int64) *index {
	x := &index{block: leastBlock}
	for size/int64(x.block)*3/2 > maxSlots {
		x.block *= 2
	}
	n := size/int64(x.block)*3/2 + 64
	x.places, x.tags = make([]uint32, n), make([]uint16, n)
	x.power = 1
	for range x.block {
		x.power *= factor
	}
	return x
}

// roll adds a byte to a hash.
func roll(h uint64, in byte) uint64 { return h*factor + uint64(in) + 1 }

// slide adds a byte to a hash and takes the one away that is a block older.
func (x *index) slide(h uint64, in, out byte) uint64 {
	return h*factor + uint64(in) + 1 - (uint64(out)+1)*x.power
}

// slot returns where the search for a hash begins, and its tag.
func (x *index) slot(h uint64) (uint64, uint16) {
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	at, low := bits.Mul64(h, uint64(len(x.places)))
	return at, uint16(low>>40) | 1
}

func (x *index) add(h uint64, place uint32) {
	at, tag := x.slot(h)
	for same := 0; x.tags[at] != 0; {
		if x.tags[at] == tag {
			if same++; same == sameBlocks {
				return
			}
		}
		if at++; at == uint64(len(x.places)) {
			at = 0
		}
	}
	x.tags[at], x.places[at] = tag, place
}

// find calls found with the address of each block that may have this hash.
func (x *index) find(h uint64, found func(at int64) error) error {
	at, tag := x.slot(h)
	for n := 0; x.tags[at] != 0 && n < sameBlocks; {
		if x.tags[at] == tag {
			n++
			if err := found(int64(x.places[at]) * int64(x.block)); err != nil {
				return err
			}
		}
		if at++; at == uint64(len(x.places)) {
			at = 0
		}
	}
	return nil
}

// fill enters all whole blocks of the base.
func (x *index) fill(ctx context.Context, base *pages, step func(int64)) error {
	for at := int64(0); at+int64(x.block) <= base.size; {
		page, err := base.from(at)
		if err != nil {
			return err
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		whole := len(page) / x.block
		for i := range whole {
			h := uint64(0)
			same := true
			block := page[i*x.block : (i+1)*x.block]
			for _, c := range block {
				same = same && c == block[0]
				h = roll(h, c)
			}
			// One block of zeros is as good as the next, and tars are full of them.
			if !same || i == 0 {
				x.add(h, uint32((at+int64(i*x.block))/int64(x.block)))
			}
		}
		if whole == 0 {
			break
		}
		at += int64(whole * x.block)
		step(int64(whole * x.block))
	}
	return nil
}
