package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"dhow/agent/words"
)

// meter draws how far a command of its own is, on a terminal only.
type meter struct {
	out   io.Writer
	words *words.Reader
	what  string
	live  bool
	began time.Time
	base  int64
	told  time.Time
}

func (s *shell) newMeter(what string) *meter {
	out := s.err
	return &meter{out: out, words: s.words, what: what, live: draws(out), began: time.Now(), base: -1}
}

// set says that done bytes of total are there; 0 for a total that nobody knows.
func (m *meter) set(done, total int64) {
	if m.base < 0 {
		m.base = done
	}
	if !m.live || time.Since(m.told) < 200*time.Millisecond {
		return
	}
	m.told = time.Now()
	text := fmt.Sprintf("%s %s", pad(m.what, 9), m.words.Size(done))
	if total > 0 {
		text = fmt.Sprintf("%s %s  %s  %s", pad(m.what, 9), bar(done, total), m.words.Of(done, total), m.left(done, total))
	}
	width := 80
	if f, ok := m.out.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			width = w
		}
	}
	fmt.Fprint(m.out, "\r\x1b[K"+clip(text, width-1))
}

// left is how long the rest takes at the speed so far, "" while nobody knows.
func (m *meter) left(done, total int64) string {
	spent, moved := time.Since(m.began), done-m.base
	if spent < time.Second || moved <= 0 {
		return ""
	}
	return m.words.Say("cli.about_left", "span", short(time.Duration(float64(spent)/float64(moved)*float64(total-done))))
}

// end removes the drawn line.
func (m *meter) end() {
	if m.live {
		fmt.Fprint(m.out, "\r\x1b[K")
	}
}
