package bundle

import "io"

const (
	aheadPieces = 4
	aheadPiece  = 256 << 10
)

// aheadReader reads from another reader in a goroutine of its own, some pieces before they are asked for: what unpacks, what hashes and
// what sends then work at the same time. Bytes and errors come in the order of the other reader.
type aheadReader struct {
	full, free chan aheadRead
	stop, done chan struct{}
	now        aheadRead
	rest       []byte // of now, not handed out yet
}

type aheadRead struct {
	buffer []byte
	n      int
	err    error
}

func readAhead(r io.Reader) *aheadReader {
	a := &aheadReader{
		full: make(chan aheadRead, aheadPieces), free: make(chan aheadRead, aheadPieces),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	for range aheadPieces {
		a.free <- aheadRead{buffer: make([]byte, aheadPiece)}
	}
	go a.fill(r)
	return a
}

func (a *aheadReader) fill(r io.Reader) {
	defer close(a.done)
	for {
		var piece aheadRead
		select {
		case piece = <-a.free:
		case <-a.stop:
			return
		}
		piece.n = 0
		for piece.n < len(piece.buffer) && piece.err == nil {
			var n int
			n, piece.err = r.Read(piece.buffer[piece.n:])
			piece.n += n
		}
		a.full <- piece // never waits: there are no more pieces than it holds
		if piece.err != nil {
			return
		}
	}
}

func (a *aheadReader) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		if a.now.err != nil {
			return 0, a.now.err
		}
		if a.now.buffer != nil {
			a.free <- aheadRead{buffer: a.now.buffer}
		}
		a.now = <-a.full
		a.rest = a.now.buffer[:a.now.n]
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// Close returns when the other reader is not in use any more.
func (a *aheadReader) Close() error {
	close(a.stop)
	<-a.done
	return nil
}
