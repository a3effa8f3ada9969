package archive

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"

	"dhow/bundle/durable"
)

// A run is a sorted list of chunks and where they stand, in a file:
//
//	"dhowix1\n"
//	blocks     4096 bytes each: CRC-32C of the rest, number of entries (uint32 each), up to 92 entries in order of digests: SHA-256,
//	           number of its pack in the list below, offset of the frame, offset in it (uint32 each); all but the last block are full
//	packs      for each pack that it covers wholly: SHA-256, size (uint64)
//	fences     the first eight bytes (big-endian) of each block's first digest
//	trailer    number of entries (uint64), of packs (uint32), CRC-32C of packs and fences (uint32), "dhowixe\n"
//
// A search looks at the fences, which are held in memory (8 bytes for some 90 chunks), and reads one block.
const (
	runMagic    = "dhowix1\n"
	runEnd      = "dhowixe\n"
	runTrailer  = 24
	runBlock    = 4096
	runEntry    = len(digest{}) + 12
	runPerBlock = (runBlock - 8) / runEntry
	runPack     = len(digest{}) + 8
)

var errRun = errors.New("the index is damaged")

type run struct {
	f      *os.File
	n      int
	packs  []packInfo
	global []uint32 // the catalog's numbers of packs
	fences []uint64
}

// packInfo names a pack and its length.
type packInfo struct {
	name digest
	size int64
}

// openRun opens a run and checks all but its blocks, which are checked when they are read.
func openRun(path string) (r *run, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	r, err = readRun(f, st.Size())
	if err != nil {
		return nil, err
	}
	r.f = f
	return r, nil
}

func readRun(f io.ReaderAt, size int64) (*run, error) {
	var head [len(runMagic)]byte
	var tail [runTrailer]byte
	if size < int64(len(head)+len(tail)) {
		return nil, errRun
	}
	if _, err := f.ReadAt(head[:], 0); err != nil {
		return nil, err
	}
	if _, err := f.ReadAt(tail[:], size-runTrailer); err != nil {
		return nil, err
	}
	entries, packs := le.Uint64(tail[:]), int64(le.Uint32(tail[8:]))
	if string(head[:]) != runMagic || string(tail[16:]) != runEnd || entries > uint64(size)/uint64(runEntry) {
		return nil, errRun
	}
	blocks := (int64(entries) + int64(runPerBlock) - 1) / int64(runPerBlock)
	at := int64(len(head)) + blocks*runBlock
	length := packs*int64(runPack) + blocks*8
	if at+length+runTrailer != size {
		return nil, errRun
	}
	b := make([]byte, length)
	if _, err := f.ReadAt(b, at); err != nil {
		return nil, err
	}
	if crc32.Checksum(b, castagnoli) != le.Uint32(tail[12:]) {
		return nil, errRun
	}
	r := &run{n: int(entries), packs: make([]packInfo, packs), fences: make([]uint64, blocks)}
	for i := range r.packs {
		p := b[i*runPack:]
		copy(r.packs[i].name[:], p)
		r.packs[i].size = int64(le.Uint64(p[len(digest{}):]))
	}
	b = b[packs*int64(runPack):]
	for i := range r.fences {
		r.fences[i] = le.Uint64(b[i*8:])
	}
	if !slices.IsSorted(r.fences) {
		return nil, errRun
	}
	return r, nil
}

// block reads a block into buf and returns its entries.
func (r *run) block(i int, buf *[runBlock]byte) ([]byte, error) {
	if _, err := r.f.ReadAt(buf[:], int64(len(runMagic))+int64(i)*runBlock); err != nil {
		return nil, err
	}
	n := int(le.Uint32(buf[4:]))
	want := min(r.n-i*runPerBlock, runPerBlock)
	if crc32.Checksum(buf[4:], castagnoli) != le.Uint32(buf[:]) || n != want {
		return nil, errRun
	}
	return buf[8 : 8+n*runEntry], nil
}

// find returns the number of the entry of a chunk in the run, or -1, and where the chunk stands.
func (r *run) find(id digest, buf *[runBlock]byte) (int, spot, error) {
	key := bigEndian(id)
	at, _ := slices.BinarySearch(r.fences, key)
	// Blocks before the first fence of at least key may hold it; more than one only when eight bytes are not enough to tell.
	for i := max(at-1, 0); i < len(r.fences) && r.fences[i] <= key; i++ {
		b, err := r.block(i, buf)
		if err != nil {
			return -1, spot{}, err
		}
		lo, hi := 0, len(b)/runEntry
		for lo < hi {
			mid := (lo + hi) / 2
			if bytes.Compare(b[mid*runEntry:mid*runEntry+len(id)], id[:]) < 0 {
				lo = mid + 1
			} else {
				hi = mid
			}
		}
		if lo*runEntry < len(b) && digest(b[lo*runEntry:lo*runEntry+len(id)]) == id {
			s, err := r.spot(b[lo*runEntry:])
			return i*runPerBlock + lo, s, err
		}
	}
	return -1, spot{}, nil
}

func (r *run) spot(entry []byte) (spot, error) {
	b := entry[len(digest{}):]
	s := spot{le.Uint32(b), le.Uint32(b[4:]), le.Uint32(b[8:])}
	if int(s.pack) >= len(r.global) {
		return s, errRun
	}
	s.pack = r.global[s.pack]
	return s, nil
}

func bigEndian(id digest) (n uint64) {
	for _, b := range id[:8] {
		n = n<<8 | uint64(b)
	}
	return n
}

// place is a chunk and where it stands.
type place struct {
	id digest
	spot
}

// cursor goes through a sorted source of places. next returns io.EOF at its end.
type cursor interface{ next() (place, error) }

type sorted []place

func (s *sorted) next() (place, error) {
	if len(*s) == 0 {
		return place{}, io.EOF
	}
	p := (*s)[0]
	*s = (*s)[1:]
	return p, nil
}

type runCursor struct {
	r    *run
	i    int
	rest []byte
	buf  [runBlock]byte
}

func (c *runCursor) next() (p place, err error) {
	if len(c.rest) == 0 {
		if c.i == len(c.r.fences) {
			return p, io.EOF
		}
		if c.rest, err = c.r.block(c.i, &c.buf); err != nil {
			return p, err
		}
		c.i++
	}
	copy(p.id[:], c.rest)
	p.spot, err = c.r.spot(c.rest)
	c.rest = c.rest[runEntry:]
	return p, err
}

// writeRun puts a run of what the cursors have into a file. packs are those that it covers; places in others are left out, and
// of several places of a chunk the first cursor's counts.
func writeRun(path string, cursors []cursor, packs []packInfo, local map[uint32]uint32) error {
	return durable.Write(path, 0o600, func(w io.Writer) error {
		out := bufio.NewWriterSize(w, bufferSize)
		if _, err := out.WriteString(runMagic); err != nil {
			return err
		}
		var fences []byte
		var entries uint64
		block := make([]byte, 8, runBlock)
		flush := func() error {
			if len(block) == 8 {
				return nil
			}
			fences = le.AppendUint64(fences, bigEndian(digest(block[8:8+len(digest{})])))
			le.PutUint32(block[4:], uint32((len(block)-8)/runEntry))
			block = append(block, make([]byte, runBlock-len(block))...)
			le.PutUint32(block, crc32.Checksum(block[4:], castagnoli))
			_, err := out.Write(block)
			block = block[:8]
			return err
		}
		err := merge(cursors, local, func(p place) error {
			block = append(block, p.id[:]...)
			block = le.AppendUint32(le.AppendUint32(le.AppendUint32(block, p.pack), p.frame), p.off)
			entries++
			if len(block)+runEntry > runBlock {
				return flush()
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := flush(); err != nil {
			return err
		}
		var tail []byte
		for _, p := range packs {
			tail = le.AppendUint64(append(tail, p.name[:]...), uint64(p.size))
		}
		tail = append(tail, fences...)
		sum := crc32.Checksum(tail, castagnoli)
		tail = le.AppendUint32(le.AppendUint64(tail, entries), uint32(len(packs)))
		tail = append(le.AppendUint32(tail, sum), runEnd...)
		if _, err := out.Write(tail); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
		return point("archive/index-write")
	})
}

// merge hands over all places in order, each chunk once, with the local numbers of their packs.
func merge(cursors []cursor, local map[uint32]uint32, take func(place) error) error {
	heads := make([]place, len(cursors))
	var open []int // cursors that have more
	for i, c := range cursors {
		switch p, err := c.next(); {
		case err == nil:
			heads[i] = p
			open = append(open, i)
		case err != io.EOF:
			return err
		}
	}
	var last digest
	taken := false
	for len(open) > 0 {
		k := 0
		for j := 1; j < len(open); j++ {
			if bytes.Compare(heads[open[j]].id[:], heads[open[k]].id[:]) < 0 {
				k = j
			}
		}
		i := open[k]
		p := heads[i]
		if n, ok := local[p.pack]; ok && (!taken || p.id != last) {
			last, taken = p.id, true
			p.pack = n
			if err := take(p); err != nil {
				return err
			}
		}
		next, err := cursors[i].next()
		switch {
		case err == io.EOF:
			open = slices.Delete(open, k, k+1)
		case err != nil:
			return err
		case bytes.Compare(next.id[:], p.id[:]) < 0:
			return fmt.Errorf("%w: out of order", errRun)
		default:
			heads[i] = next
		}
	}
	return nil
}
