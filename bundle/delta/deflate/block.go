package deflate

import "io"

// flushAt is how much output is collected before it is handed on.
const flushAt = 32 << 10

// symbol is a literal (distance 0) or a match: its distance, and its length or byte.
type symbol struct {
	distance uint16
	value    uint16
}

// blockWriter collects the symbols of a block and writes it in the cheapest of the three ways.
type blockWriter struct {
	w       io.Writer
	err     error
	out     []byte
	bits    uint64
	nbits   uint
	limit   int // symbols in a block
	symbols []symbol
	lits    tree
	dists   tree
	lens    tree
	dynamic int // bits of the block with codes of its own, without the block's header
	fixed   int // bits with the fixed codes
}

func (b *blockWriter) reset(w io.Writer, limit int) {
	b.w, b.err, b.limit = w, nil, limit
	b.out, b.bits, b.nbits = b.out[:0], 0, 0
	if cap(b.symbols) < limit {
		b.symbols = make([]symbol, 0, limit)
	}
	b.lits.kind, b.dists.kind, b.lens.kind = &literalCodes, &distanceCodes, &lengthCodes
	b.open()
}

// open begins a block.
func (b *blockWriter) open() {
	b.symbols = b.symbols[:0]
	clear(b.lits.freq[:])
	clear(b.dists.freq[:])
	clear(b.lens.freq[:])
	b.lits.freq[endOfBlock] = 1
	b.dynamic, b.fixed = 0, 0
}

// literal adds a byte and reports whether the block is full.
func (b *blockWriter) literal(c byte) bool {
	b.symbols = append(b.symbols, symbol{0, uint16(c)})
	b.lits.freq[c]++
	return len(b.symbols) == b.limit
}

// match adds a match and reports whether the block is full.
func (b *blockWriter) match(distance, length int) bool {
	b.symbols = append(b.symbols, symbol{uint16(distance), uint16(length)})
	b.lits.freq[firstLength+int(lengthCode[length-minMatch])]++
	b.dists.freq[distanceCode(distance)]++
	return len(b.symbols) == b.limit
}

// write ends the block. stored is what it stands for, if that is still known.
func (b *blockWriter) write(stored []byte, known, last bool) {
	b.build(&b.lits)
	b.build(&b.dists)
	order := b.buildLengths()
	best, fixed := (b.dynamic+3+7)>>3, (b.fixed+3+7)>>3
	best = min(best, fixed)
	header := uint64(0)
	if last {
		header = 1
	}
	switch {
	case known && len(stored)+4 <= best:
		b.put(header, 3)
		b.align()
		n := uint64(len(stored))
		b.put(n, 16)
		b.put(n^0xffff, 16)
		b.align()
		b.out = append(b.out, stored...)
	case fixed == best:
		b.put(1<<1|header, 3)
		b.putSymbols(&fixedLiterals, &fixedDistances)
	default:
		b.put(2<<1|header, 3)
		b.putTrees(order)
		b.putSymbols(&b.lits.codes, &b.dists.codes)
	}
	b.open()
	b.flush(flushAt)
}

// putSymbols writes the block's symbols with the given codes.
func (b *blockWriter) putSymbols(lits *[codesSize]code, dists *[codesSize]code) {
	for _, s := range b.symbols {
		if s.distance == 0 {
			b.putCode(lits[s.value])
			continue
		}
		l := lengthCode[s.value-minMatch]
		b.putCode(lits[firstLength+int(l)])
		b.put(uint64(int(s.value)-minMatch-int(lengthBase[l])), uint(lengthExtra[l]))
		d := distanceCode(int(s.distance))
		b.putCode(dists[d])
		b.put(uint64(int(s.distance)-1-int(distanceBase[d])), uint(distanceExtra[d]))
		if len(b.out) >= 2*flushAt {
			b.flush(flushAt)
		}
	}
	b.putCode(lits[endOfBlock])
}

func (b *blockWriter) putCode(c code) { b.put(uint64(c.bits), uint(c.length)) }

// put writes n bits, at most 16, lowest first.
func (b *blockWriter) put(value uint64, n uint) {
	b.bits |= value << b.nbits
	b.nbits += n
	if b.nbits >= 48 {
		b.out = append(b.out, byte(b.bits), byte(b.bits>>8), byte(b.bits>>16), byte(b.bits>>24), byte(b.bits>>32), byte(b.bits>>40))
		b.bits >>= 48
		b.nbits -= 48
	}
}

// align writes the bits that wait, filled up to a byte.
func (b *blockWriter) align() {
	for b.nbits > 0 {
		b.out = append(b.out, byte(b.bits))
		b.bits >>= 8
		b.nbits -= min(b.nbits, 8)
	}
}

// finish ends the stream after its last block.
func (b *blockWriter) finish() {
	b.align()
	b.flush(0)
}

// flush hands the output on when there is at least so much.
func (b *blockWriter) flush(least int) {
	if b.err == nil && len(b.out) > 0 && len(b.out) >= least {
		_, b.err = b.w.Write(b.out)
		b.out = b.out[:0]
	} else if b.err != nil {
		b.out = b.out[:0]
	}
}
