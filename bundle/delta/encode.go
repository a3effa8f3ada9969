package delta

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sort"
	"sync"
)

// locked makes a function callable by several goroutines.
func locked(f func(int64)) func(int64) {
	var mu sync.Mutex
	return func(n int64) {
		mu.Lock()
		defer mu.Unlock()
		f(n)
	}
}

// begin begins a section in a file of its own.
func (m *maker) begin(i int, w *sectionWriter) error {
	var err error
	if m.parts[i], err = newScratch(m.opts.Dir); err != nil {
		return err
	}
	w.begin(m.parts[i])
	return nil
}

func (m *maker) end(i int, w *sectionWriter) error {
	var err error
	if m.header.sections[i], err = w.end(); err != nil {
		return err
	}
	return m.parts[i].w.Flush()
}

// encode writes the sections that depend on which streams of the base are read.
func (m *maker) encode() error {
	var dropped []int64 // by stream of the base: bytes of the spool before it that applying does without
	gone := int64(0)
	for i, s := range m.old.streams {
		dropped = append(dropped, gone)
		if !m.used[i] {
			gone += s.opened
		}
	}
	m.header.Spool = m.spool.size - gone
	m.header.Expanded = m.layer.size
	m.stats.Spool = m.header.Spool
	m.stats.Opened, m.stats.Inexact = len(m.new.streams), m.new.inexact
	if m.header.Spool > 0 || len(m.new.streams) > 0 {
		m.header.Features |= featureOpened
	}
	if err := m.encodeOld(); err != nil {
		return err
	}
	if err := m.encodeNew(); err != nil {
		return err
	}
	return m.encodeOps(dropped)
}

// write makes a section of varints.
func (m *maker) write(i int, fill func(put func(int64)) error) error {
	if err := m.begin(i, m.small[0]); err != nil {
		return err
	}
	w := bufio.NewWriterSize(m.small[0], 64<<10)
	var b []byte
	if err := fill(func(n int64) {
		b = binary.AppendUvarint(b[:0], uint64(n))
		_, _ = w.Write(b) // Flush returns the error
	}); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return m.end(i, m.small[0])
}

func (m *maker) encodeOld() error {
	return m.write(sectionOld, func(put func(int64)) error {
		at := int64(0)
		for i, s := range m.old.streams {
			if !m.used[i] {
				continue
			}
			put(s.at - at)
			put(s.stored)
			put(s.plain)
			put(int64(len(s.inside)))
			inner := int64(0)
			for _, in := range s.inside {
				put(in.at - inner)
				put(in.stored)
				put(in.plain)
				inner = in.end()
			}
			at = s.end()
		}
		return nil
	})
}

func (m *maker) encodeNew() error {
	return m.write(sectionNew, func(put func(int64)) error {
		at := int64(0)
		for _, s := range m.new.streams {
			put(s.at - at)
			put(packParams(s.params))
			put(int64(len(s.inside)))
			inner := int64(0)
			for _, in := range s.inside {
				put(in.at - inner)
				put(packParams(in.params))
				put(in.plain)
				inner = in.end()
			}
			put(s.plain - inner)
			at = s.end()
		}
		return nil
	})
}

// encodeOps writes operations and places. Addresses become distances from where the operation before ended.
func (m *maker) encodeOps(dropped []int64) error {
	raw := m.old.layers.size
	move := func(at int64) int64 {
		i := sort.Search(len(dropped), func(i int) bool { return m.old.streams[i].spool > at-raw }) - 1
		if at < raw || i < 0 {
			return at
		}
		return at - dropped[i]
	}
	if err := m.begin(sectionPlaces, m.small[1]); err != nil {
		return err
	}
	to := bufio.NewWriterSize(m.small[1], 64<<10)
	var b []byte
	err := m.write(sectionOps, func(put func(int64)) error {
		in := bufio.NewReaderSize(io.NewSectionReader(m.ops, 0, m.ops.size), 256<<10)
		for at := int64(0); ; {
			op, err := binary.ReadUvarint(in)
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			put(int64(op))
			if op&3 != opAdd {
				place, err := binary.ReadUvarint(in)
				if err != nil {
					return err
				}
				next := move(int64(place))
				b = binary.AppendVarint(b[:0], next-at)
				_, _ = to.Write(b) // Flush returns the error
				at = next
			}
			at += int64(op >> 2)
		}
	})
	if err != nil {
		return err
	}
	if err := to.Flush(); err != nil {
		return err
	}
	return m.end(sectionPlaces, m.small[1])
}

// finish applies the delta and writes it.
func (m *maker) finish(old []Layer, w io.Writer) error {
	all := make([]Layer, 0, sectionCount+1)
	for i, s := range m.header.sections {
		all = append(all, Layer{Identity{Size: s.stored}, m.parts[i]})
	}
	head, err := m.header.encode()
	if err != nil {
		return err
	}
	file := join(append([]Layer{{Identity{Size: int64(len(head))}, bytes.NewReader(head)}}, all...))
	m.stats.Size = file.size
	h, err := readHeader(file, file.size)
	if err != nil {
		return fmt.Errorf("internal error: %w", err)
	}
	progress := func(done int64) { m.opts.Progress(Verifying, done, h.Work()) }
	if err := h.apply(m.ctx, old, file, io.Discard, m.opts.Dir, progress); err != nil {
		return fmt.Errorf("it can't be applied: %w", err)
	}
	if err := context.Cause(m.ctx); err != nil {
		return err
	}
	_, err = io.Copy(w, io.NewSectionReader(file, 0, file.size))
	return err
}
