package deflate

import (
	"errors"
	"fmt"
	"io"
)

// Sizes of zlib's window, named in positions of it.
const (
	minMatch = 3
	maxMatch = 258

	windowSize   = 1 << 15
	bufferSize   = 2 * windowSize
	minLookahead = maxMatch + minMatch + 1   // with less than this, more input is asked for
	maxDistance  = windowSize - minLookahead // the farthest that a match may lie back
	tooFar       = 4096                      // a match of three bytes that lies farther back costs more than it saves
)

// Params are what zlib was told when it made a stream: the level from 1 to 9, and memLevel from 1 to 9. zlib's own default, which the
// JDK and most others use, is level 6 with memLevel 8; some programs choose memLevel 9.
type Params struct {
	Level    int
	MemLevel int
}

// Valid reports whether a Writer can be made with p.
func (p Params) Valid() bool {
	return p.Level >= 1 && p.Level <= 9 && p.MemLevel >= 1 && p.MemLevel <= 9
}

// effort bounds the search for matches.
type effort struct {
	good  int  // with a match this long at the position before, a quarter of the chain is enough
	lazy  int  // a match this long is taken without a look at the next position; for the quick levels: longer ones are not indexed inside
	nice  int  // a match this long ends the search
	chain int  // how many earlier places are tried
	quick bool // take the first match, never look at the next position
}

var efforts = [10]effort{
	1: {4, 4, 8, 4, true},
	2: {4, 5, 16, 8, true},
	3: {4, 6, 32, 32, true},
	4: {4, 4, 16, 16, false},
	5: {8, 16, 32, 32, false},
	6: {8, 16, 128, 128, false},
	7: {8, 32, 128, 256, false},
	8: {32, 128, 258, 1024, false},
	9: {32, 258, 258, 4096, false},
}

var errClosed = errors.New("internal error: write to a closed deflate stream")

// Writer is one deflate stream.
type Writer struct {
	effort
	window     [bufferSize]byte
	prev       [windowSize]uint16 // by position in the window: the place before it with the same hash
	head       []uint16           // by hash: the newest place; 0 is none, as in zlib, so the window's first byte is never found
	shift      uint
	start      int // the position that is next
	ahead      int // how many bytes of input stand at and after start
	blockStart int // where the open block begins; negative when that has slid out of the window
	matchStart int // where the match found last begins
	matchLen   int
	prevLen    int  // length of the match at the position before, for lazy matching
	waiting    bool // the byte before start is neither written nor part of a match yet
	blocks     blockWriter
	closed     bool
}

// NewWriter returns a Writer that writes a stream to w. It fails with an internal error when p is not Valid.
func NewWriter(w io.Writer, p Params) (*Writer, error) {
	d := &Writer{}
	if err := d.Reset(w, p); err != nil {
		return nil, err
	}
	return d, nil
}

// Reset begins a new stream to w, whatever became of the one before.
func (d *Writer) Reset(w io.Writer, p Params) error {
	if !p.Valid() {
		return fmt.Errorf("internal error: there is no deflate level %d with memLevel %d", p.Level, p.MemLevel)
	}
	d.effort = efforts[p.Level]
	bits := uint(p.MemLevel) + 7
	d.shift = (bits + minMatch - 1) / minMatch
	if len(d.head) == 1<<bits {
		clear(d.head)
	} else {
		d.head = make([]uint16, 1<<bits)
	}
	d.start, d.ahead, d.blockStart, d.matchStart = 0, 0, 0, 0
	d.matchLen, d.prevLen = minMatch-1, minMatch-1
	d.waiting, d.closed = false, false
	d.blocks.reset(w, 1<<(p.MemLevel+6)-1)
	return nil
}

// Write implements io.Writer.
func (d *Writer) Write(p []byte) (int, error) {
	if d.closed {
		return 0, errClosed
	}
	total := len(p)
	for len(p) > 0 {
		n := copy(d.window[d.start+d.ahead:], p)
		d.ahead += n
		p = p[n:]
		if d.start+d.ahead == bufferSize {
			d.compress(false)
		}
		if d.blocks.err != nil {
			return total - len(p), d.blocks.err
		}
	}
	return total, nil
}

// Close writes what is left and ends the stream. It does not close what is written to.
func (d *Writer) Close() error {
	if d.closed {
		return d.blocks.err
	}
	d.closed = true
	d.compress(true)
	d.endBlock(true)
	d.blocks.finish()
	return d.blocks.err
}

// compress works until more input is needed or, at the end, until there is none left.
func (d *Writer) compress(end bool) {
	if d.quick {
		d.compressQuick(end)
		return
	}
	d.compressLazy(end)
	if end && d.waiting {
		d.blocks.literal(d.window[d.start-1])
		d.waiting = false
	}
}

// enough reports whether there is input to work on. It slides the window when the position comes to its end.
func (d *Writer) enough(end bool) bool {
	if d.ahead >= minLookahead {
		return true
	}
	if d.start >= windowSize+maxDistance {
		d.slide()
	}
	return end && d.ahead > 0
}

func (d *Writer) slide() {
	copy(d.window[:windowSize], d.window[windowSize:])
	d.start -= windowSize
	d.matchStart -= windowSize
	d.blockStart -= windowSize
	slideAll(d.head)
	slideAll(d.prev[:])
}

func slideAll(places []uint16) {
	for i, p := range places {
		places[i] = max(p, windowSize) - windowSize
	}
}

// endBlock writes the open block.
func (d *Writer) endBlock(last bool) {
	var stored []byte
	if d.blockStart >= 0 {
		stored = d.window[d.blockStart:d.start]
	}
	d.blocks.write(stored, d.blockStart >= 0, last)
	d.blockStart = d.start
}
