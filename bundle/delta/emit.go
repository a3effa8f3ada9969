package delta

import (
	"encoding/binary"
	"io"
	"math"
	"math/bits"
)

const (
	// joinEqual is the length from which equal bytes between differences are a COPY of their own.
	joinEqual = 16
	// maxGroup bounds what is held until it is decided how it is written.
	maxGroup = 32 << 10
	// opBits is about what an operation costs that goes on where the one before ended.
	opBits = 8
	// matchBits and placeBits are about what a match costs, and more for each bit of the distance that it jumps.
	matchBits = 24
	placeBits = 3
)

// emitter writes operations: their kinds, lengths and addresses to a file, literals and differences to their sections. Addresses are
// those of the base followed by the spool.
type emitter struct {
	base, layer           *pages
	ops                   io.Writer
	literals, differences io.Writer
	touched               func(from, to int64)
	shift                 int64 // address in the base less address in the layer of the last match
	kind                  int
	length                int64 // of the operation that waits for what follows; 0 is none
	at                    int64 // where it reads
	group                 []piece
	groupPlace, groupAt   int64
	groupLength           int64
	costs                 [2]frequencies
	sums                  [opKinds]int64 // bytes by kind of operation
	scratch               []byte
	old, new              []byte
}

// frequencies estimates what a byte costs by what was seen before.
type frequencies struct {
	seen  [256]float64
	total float64
}

func (f *frequencies) bits(b byte) float64 { return math.Log2((f.total + 64) / (f.seen[b] + 0.25)) }

func (f *frequencies) add(data []byte) {
	for _, b := range data {
		f.seen[b]++
	}
	f.total += float64(len(data))
}

// cost returns about how many bits it costs to read at another distance from the layer's addresses than the last match.
func (e *emitter) cost(shift int64) float64 {
	by := shift - e.shift
	return matchBits + placeBits*float64(bits.Len64(uint64(max(by, -by))))
}

// put writes an operation, joined with the one before where that is possible.
func (e *emitter) put(kind int, length, at int64) error {
	if length == 0 {
		return nil
	}
	e.sums[kind] += length
	if e.length > 0 && e.kind == kind && (kind == opAdd || e.at+e.length == at) {
		e.length += length
		return nil
	}
	if err := e.end(); err != nil {
		return err
	}
	e.kind, e.length, e.at = kind, length, at
	return nil
}

func (e *emitter) end() error {
	if e.length == 0 {
		return nil
	}
	e.scratch = binary.AppendUvarint(e.scratch[:0], uint64(e.length)<<2|uint64(e.kind))
	if e.kind != opAdd {
		e.scratch = binary.AppendUvarint(e.scratch, uint64(e.at))
		e.touched(e.at, e.at+e.length)
	}
	e.length = 0
	_, err := e.ops.Write(e.scratch)
	return err
}

// add emits the layer's bytes between two addresses as literals.
func (e *emitter) add(from, to int64) error {
	for from < to {
		part, err := e.layer.from(from)
		if err != nil {
			return err
		}
		part = part[:min(int64(len(part)), to-from)]
		if err := e.addBytes(part); err != nil {
			return err
		}
		from += int64(len(part))
	}
	return nil
}

func (e *emitter) addBytes(p []byte) error {
	if len(p) > 0 {
		e.costs[0].add(p)
	}
	if _, err := e.literals.Write(p); err != nil {
		return err
	}
	return e.put(opAdd, int64(len(p)), 0)
}

// piece emits a part of a match. Parts of one match follow each other; endPieces ends it.
func (e *emitter) piece(place, at, length int64, equal bool) error {
	e.shift = place - at
	if equal && length >= joinEqual {
		if err := e.endPieces(); err != nil {
			return err
		}
		return e.put(opCopy, length, place)
	}
	if length == 0 {
		return nil
	}
	if len(e.group) == 0 {
		e.groupPlace, e.groupAt, e.groupLength = place, at, 0
	}
	e.group = append(e.group, piece{length, equal})
	if e.groupLength += length; e.groupLength >= maxGroup {
		return e.endPieces()
	}
	return nil
}

// endPieces decides in which of three ways a group of differences with few equal bytes between them is written: as one DIFF, as one
// ADD, or with an ADD for each difference and a COPY between.
func (e *emitter) endPieces() error {
	if len(e.group) == 0 {
		return nil
	}
	group := e.group
	e.group = e.group[:0]
	if cap(e.old) < int(e.groupLength) {
		e.old, e.new = make([]byte, e.groupLength+maxGroup), make([]byte, e.groupLength+maxGroup)
	}
	old, layer := e.old[:e.groupLength], e.new[:e.groupLength]
	if err := e.base.read(old, e.groupPlace); err != nil {
		return err
	}
	if err := e.layer.read(layer, e.groupAt); err != nil {
		return err
	}
	diff, add, split := float64(opBits), float64(opBits), 0.0
	at := int64(0)
	for _, p := range group {
		part := 0.0
		for i := at; i < at+p.length; i++ {
			part += e.costs[0].bits(layer[i])
			diff += e.costs[1].bits(layer[i] - old[i])
		}
		add += part
		split += opBits
		if !p.equal {
			split += part
		}
		at += p.length
	}
	switch {
	case diff < add && diff < split:
		for i := range layer {
			layer[i] -= old[i]
		}
		e.costs[1].add(layer)
		if _, err := e.differences.Write(layer); err != nil {
			return err
		}
		return e.put(opDiff, e.groupLength, e.groupPlace)
	case add < split:
		return e.addBytes(layer)
	}
	at = 0
	for _, p := range group {
		var err error
		if p.equal {
			err = e.put(opCopy, p.length, e.groupPlace+at)
		} else {
			err = e.addBytes(layer[at : at+p.length])
		}
		if err != nil {
			return err
		}
		at += p.length
	}
	return nil
}

// flush ends the last operation.
func (e *emitter) flush() error {
	if err := e.endPieces(); err != nil {
		return err
	}
	return e.end()
}
