package deflate

// Symbols of the tree that writes code lengths.
const (
	repeatBefore   = 16 // the length before, 3 to 6 times
	repeatZero     = 17 // zero, 3 to 10 times
	repeatZeroLong = 18 // zero, 11 to 138 times
)

// lengthsOrder is the order in which the lengths of these symbols' own codes are written.
var lengthsOrder = [lengthsSize]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// buildLengths builds the tree for the lengths of the other two trees' codes. It returns how many of its own lengths are written.
func (b *blockWriter) buildLengths() int {
	for _, t := range []*tree{&b.lits, &b.dists} {
		t.runs(func(symbol int, times int, _ uint64, _ uint) { b.lens.freq[symbol] += uint16(times) })
	}
	b.build(&b.lens)
	n := lengthsSize
	for n > 4 && b.lens.length[lengthsOrder[n-1]] == 0 {
		n--
	}
	b.dynamic += 3*n + 5 + 5 + 4
	return n
}

// putTrees writes the codes of a block.
func (b *blockWriter) putTrees(order int) {
	b.put(uint64(b.lits.last+1-firstLength), 5)
	b.put(uint64(b.dists.last+1-1), 5)
	b.put(uint64(order-4), 4)
	for _, s := range lengthsOrder[:order] {
		b.put(uint64(b.lens.length[s]), 3)
	}
	for _, t := range []*tree{&b.lits, &b.dists} {
		t.runs(func(symbol int, times int, extra uint64, bits uint) {
			for range times {
				b.putCode(b.lens.codes[symbol])
			}
			b.put(extra, bits)
		})
	}
}

// runs tells how the lengths of the tree's codes are written: a symbol, how many times, and extra bits after it.
func (t *tree) runs(emit func(symbol int, times int, extra uint64, bits uint)) {
	before := -1
	for n := 0; n <= t.last; {
		length := int(t.length[n])
		most, least := 7, 4
		switch {
		case length == 0:
			most, least = 138, 3
		case length == before:
			most, least = 6, 3
		}
		count := 1
		for count < most && n+count <= t.last && int(t.length[n+count]) == length {
			count++
		}
		n += count
		switch {
		case count < least:
			emit(length, count, 0, 0)
		case length != 0:
			if length != before {
				emit(length, 1, 0, 0)
				count--
			}
			emit(repeatBefore, 1, uint64(count-3), 2)
		case count <= 10:
			emit(repeatZero, 1, uint64(count-3), 3)
		default:
			emit(repeatZeroLong, 1, uint64(count-11), 7)
		}
		before = length
	}
}
