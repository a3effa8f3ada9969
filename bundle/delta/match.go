package delta

import (
	"context"
	"encoding/binary"
	"math/bits"
)

const (
	recovered = 16   // so many more equal than other bytes after a difference: still the same place
	lost      = -48  // so many more other than equal bytes: not the same place any more
	longest   = 4096 // of a stretch with differences

	literalBits = 1.0 // about what a byte costs that is not in the base, as literals have much in common with each other
	worth       = 200 // bits: a match that saves so much is not looked at more closely
)

// matcher finds what the opened new layer has in common with the base and its spool.
type matcher struct {
	ctx    context.Context
	index  *index
	base   *pages
	layer  *pages
	out    *emitter
	done   int64 // the layer's bytes up to here are emitted
	pieces []piece
	step   func(int64)
}

// piece is a part of a match: equal bytes, or a stretch with differences.
type piece struct {
	length int64
	equal  bool
}

// run goes through the layer.
func (m *matcher) run() error {
	block := int64(m.index.block)
	for at := int64(0); at+block <= m.layer.size; {
		h, err := m.hash(at)
		if err != nil {
			return err
		}
		next, err := m.search(at, h)
		if err != nil {
			return err
		}
		m.step(next - at)
		at = next
	}
	if err := m.out.add(m.done, m.layer.size); err != nil {
		return err
	}
	return m.out.flush()
}

// hash hashes the block at address at.
func (m *matcher) hash(at int64) (uint64, error) {
	h := uint64(0)
	for end := at + int64(m.index.block); at < end; {
		part, err := m.layer.from(at)
		if err != nil {
			return 0, err
		}
		part = part[:min(int64(len(part)), end-at)]
		for _, c := range part {
			h = roll(h, c)
		}
		at += int64(len(part))
	}
	return h, nil
}

// search goes on from address at, whose block has hash h, to the first match and emits it. It returns where to go on; sometimes that
// is before any match, so that the caller sees progress.
func (m *matcher) search(at int64, h uint64) (int64, error) {
	if err := context.Cause(m.ctx); err != nil {
		return 0, err
	}
	block := int64(m.index.block)
	var window [1 << 12]byte // the bytes that leave the block
	for from := at; ; at++ {
		if end, err := m.match(at, h); err != nil || end > 0 {
			return end, err
		}
		if at+block >= m.layer.size || at-from >= 1<<20 {
			return at + 1, nil
		}
		if (at-from)%int64(len(window)) == 0 {
			n := min(int64(len(window)), m.layer.size-at)
			if err := m.layer.read(window[:n], at); err != nil {
				return 0, err
			}
		}
		part, err := m.layer.from(at + block)
		if err != nil {
			return 0, err
		}
		h = m.index.slide(h, part[0], window[(at-from)%int64(len(window))])
	}
}

// match looks whether the block at address at is in the base, and emits the best match if it is worth it. It returns the end of what was
// emitted, or 0.
func (m *matcher) match(at int64, h uint64) (int64, error) {
	var best, bestFrom, bestLength int64
	bestGain := 0.0
	err := m.index.find(h, func(place int64) error {
		n, err := m.forward(place, at)
		if err != nil || n < int64(m.index.block) {
			return err
		}
		back, err := m.backward(place, at)
		if err != nil {
			return err
		}
		gain := literalBits*float64(n+back) - m.out.cost(place-at)
		if gain < worth {
			more, err := m.around(place, at, n, back)
			if err != nil {
				return err
			}
			gain += literalBits * float64(more)
		}
		if gain > bestGain {
			best, bestFrom, bestLength, bestGain = place, at-back, n+back, gain
		}
		return nil
	})
	if err != nil || bestLength == 0 {
		return 0, err
	}
	return m.emit(best-(at-bestFrom), bestFrom, bestLength)
}

// around returns how many bytes are equal in the stretches around a match of n bytes from at on and back bytes before.
func (m *matcher) around(place, at, n, back int64) (int64, error) {
	total := int64(0)
	for p, a := place+n, at+n; literalBits*float64(total) < worth; {
		gap, err := m.gapAfter(p, a)
		if err != nil || gap == 0 {
			break
		}
		n, err := m.forward(p+gap, a+gap)
		if err != nil {
			return 0, err
		}
		total += n
		p, a = p+gap+n, a+gap+n
	}
	for p, a := place-back, at-back; literalBits*float64(total) < worth; {
		gap, err := m.gapBefore(p, a)
		if err != nil || gap == 0 {
			break
		}
		n, err := m.backward(p-gap, a-gap)
		if err != nil {
			return 0, err
		}
		total += n
		p, a = p-gap-n, a-gap-n
	}
	return total, nil
}

// emit emits a match of length bytes with what can be had around it.
func (m *matcher) emit(place, at, length int64) (int64, error) {
	m.pieces = m.pieces[:0]
	start := at
	for p, a := place, at; ; {
		gap, err := m.gapBefore(p, a)
		if err != nil {
			return 0, err
		}
		if gap == 0 {
			break
		}
		p, a = p-gap, a-gap
		equal, err := m.backward(p, a)
		if err != nil {
			return 0, err
		}
		p, a = p-equal, a-equal
		m.pieces = append(m.pieces, piece{gap, false}, piece{equal, true})
		start = a
	}
	if err := m.out.add(m.done, start); err != nil {
		return 0, err
	}
	place -= at - start
	at = start
	put := func(n int64, equal bool) error {
		err := m.out.piece(place, at, n, equal)
		place, at = place+n, at+n
		return err
	}
	for i := len(m.pieces) - 1; i >= 0; i-- {
		if err := put(m.pieces[i].length, m.pieces[i].equal); err != nil {
			return 0, err
		}
	}
	if err := put(length, true); err != nil {
		return 0, err
	}
	for {
		if err := context.Cause(m.ctx); err != nil {
			return 0, err
		}
		gap, err := m.gapAfter(place, at)
		if err != nil {
			return 0, err
		}
		if gap == 0 {
			break
		}
		if err := put(gap, false); err != nil {
			return 0, err
		}
		n, err := m.forward(place, at)
		if err != nil {
			return 0, err
		}
		if err := put(n, true); err != nil {
			return 0, err
		}
	}
	m.done = at
	return at, m.out.endPieces()
}

// forward returns how many bytes from these two addresses on are equal.
func (m *matcher) forward(place, at int64) (int64, error) {
	total := int64(0)
	for place < m.base.size && at < m.layer.size {
		a, err := m.base.from(place)
		if err != nil {
			return 0, err
		}
		b, err := m.layer.from(at)
		if err != nil {
			return 0, err
		}
		n := min(len(a), len(b))
		same := int64(common(a[:n], b[:n]))
		total, place, at = total+same, place+same, at+same
		if same < int64(n) {
			break
		}
	}
	return total, nil
}

// backward returns how many bytes before these two addresses are equal and not emitted yet.
func (m *matcher) backward(place, at int64) (int64, error) {
	n := int64(0)
	for place > n && at-n > m.done {
		same, err := m.same(place-n-1, at-n-1)
		if err != nil {
			return 0, err
		}
		if !same {
			break
		}
		n++
	}
	return n, nil
}

func (m *matcher) same(place, at int64) (bool, error) {
	a, err := m.base.from(place)
	if err != nil {
		return false, err
	}
	b, err := m.layer.from(at)
	if err != nil {
		return false, err
	}
	return a[0] == b[0], nil
}

// gapAfter returns the length of a stretch with differences that begins at these two addresses and after which the bytes are equal
// again, or 0.
func (m *matcher) gapAfter(place, at int64) (int64, error) {
	return m.gap(min(m.base.size-place, m.layer.size-at), func(n int64) (bool, error) { return m.same(place+n, at+n) })
}

// gapBefore is the same for what ends at these two addresses.
func (m *matcher) gapBefore(place, at int64) (int64, error) {
	return m.gap(min(place, at-m.done), func(n int64) (bool, error) { return m.same(place-n-1, at-n-1) })
}

func (m *matcher) gap(limit int64, same func(int64) (bool, error)) (int64, error) {
	score, end := 0, int64(0)
	for n := range min(limit, longest) {
		equal, err := same(n)
		if err != nil {
			return 0, err
		}
		if equal {
			score++
		} else {
			score--
			end = n + 1
		}
		if score >= recovered {
			return end, nil
		}
		if score <= lost {
			break
		}
	}
	return 0, nil
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
