package deflate

import (
	"encoding/binary"
	"math/bits"
)

// insert makes the place at findable and returns the newest earlier place with the same hash.
func (d *Writer) insert(at int) int {
	w := d.window[at : at+3 : at+3]
	h := (uint(w[0])<<(2*d.shift) ^ uint(w[1])<<d.shift ^ uint(w[2])) & uint(len(d.head)-1)
	found := d.head[h]
	d.prev[at&(windowSize-1)] = found
	d.head[h] = uint16(at)
	return int(found)
}

// longest looks along the chain from place for a match longer than prevLen, and sets matchStart if there is one. It returns the
// length of the best match, at most what is ahead. Of matches of one length the nearest wins.
func (d *Writer) longest(place int) int {
	chain, best := d.chain, d.prevLen
	if d.prevLen >= d.good {
		chain >>= 2
	}
	limit := max(d.start-maxDistance, 0)
	nice := min(d.nice, d.ahead)
	// Bytes after the input are never compared: a match that reaches the end of the input ends the search anyway.
	most := min(maxMatch, d.ahead)
	if best >= most {
		return min(best, d.ahead)
	}
	here := d.window[d.start : d.start+most]
	tail := binary.LittleEndian.Uint16(here[best-1:])
	for {
		there := d.window[place : place+most]
		if binary.LittleEndian.Uint16(there[best-1:]) == tail && there[0] == here[0] {
			if n := common(here, there); n > best {
				d.matchStart = place
				best = n
				if n >= nice {
					break
				}
				tail = binary.LittleEndian.Uint16(here[best-1:])
			}
		}
		place = int(d.prev[place&(windowSize-1)])
		chain--
		if place <= limit || chain == 0 {
			break
		}
	}
	return min(best, d.ahead)
}

// common returns how many bytes are equal at the beginning of two slices of one length.
func common(a, b []byte) int {
	n := 0
	for len(a)-n >= 8 {
		if x := binary.LittleEndian.Uint64(a[n:]) ^ binary.LittleEndian.Uint64(b[n:]); x != 0 {
			return n + bits.TrailingZeros64(x)/8
		}
		n += 8
	}
	for n < len(a) && a[n] == b[n] {
		n++
	}
	return n
}

// compressQuick takes the first match that it finds: levels 1 to 3.
func (d *Writer) compressQuick(end bool) {
	for d.enough(end) {
		place := 0
		if d.ahead >= minMatch {
			place = d.insert(d.start)
		}
		if place != 0 && d.start-place <= maxDistance {
			d.matchLen = d.longest(place)
		}
		full := false
		if n := d.matchLen; n >= minMatch {
			full = d.blocks.match(d.start-d.matchStart, n)
			d.ahead -= n
			if n <= d.lazy && d.ahead >= minMatch {
				for range n - 1 {
					d.start++
					d.insert(d.start)
				}
				d.start++
			} else {
				d.start += n
			}
			d.matchLen = 0
		} else {
			full = d.blocks.literal(d.window[d.start])
			d.ahead--
			d.start++
		}
		if full {
			d.endBlock(false)
		}
	}
}

// compressLazy takes a match only if none that is longer begins one byte later: levels 4 to 9.
func (d *Writer) compressLazy(end bool) {
	for d.enough(end) {
		place := 0
		if d.ahead >= minMatch {
			place = d.insert(d.start)
		}
		before := d.matchStart
		d.prevLen, d.matchLen = d.matchLen, minMatch-1
		if place != 0 && d.prevLen < d.lazy && d.start-place <= maxDistance {
			d.matchLen = d.longest(place)
			if d.matchLen == minMatch && d.start-d.matchStart > tooFar {
				d.matchLen = minMatch - 1
			}
		}
		switch {
		case d.prevLen >= minMatch && d.matchLen <= d.prevLen:
			last := d.start + d.ahead - minMatch
			full := d.blocks.match(d.start-1-before, d.prevLen)
			d.ahead -= d.prevLen - 1
			for range d.prevLen - 2 {
				if d.start++; d.start <= last {
					d.insert(d.start)
				}
			}
			d.start++
			d.waiting, d.matchLen = false, minMatch-1
			if full {
				d.endBlock(false)
			}
		case d.waiting:
			if d.blocks.literal(d.window[d.start-1]) {
				d.endBlock(false)
			}
			d.start++
			d.ahead--
		default:
			d.waiting = true
			d.start++
			d.ahead--
		}
	}
}
