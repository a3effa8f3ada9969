package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"dhow/agent/api"
	"dhow/agent/words"
)

// progress shows the events of a change: one line drawn again and again on a terminal, a line for each step elsewhere.
type progress struct {
	out   io.Writer
	words *words.Reader
	live  bool
	color bool
	width func() int
	now   func() time.Time

	headed bool
	undone uint64          // the change that went back
	last   string          // what the newest plain line said
	said   map[string]bool // of what is fetched
	step   string          // whose bytes are counted
	began  time.Time       // of those bytes
	base   int64           // bytes at that moment
}

func (s *shell) newProgress(out io.Writer) *progress {
	p := &progress{out: out, words: s.words, live: draws(out), now: time.Now, width: func() int { return 80 }}
	if f, ok := out.(*os.File); ok && p.live {
		p.color = os.Getenv("NO_COLOR") == ""
		p.width = func() int {
			if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
				return w
			}
			return 80
		}
	}
	return p
}

// show takes the next event.
func (p *progress) show(e api.Event) {
	if e.Update != nil && e.Kind != "fetch" && !p.headed {
		p.headed = true
		p.line(p.head(e.Update))
	}
	if e.Undoing {
		p.undone = e.Change
	}
	// A fetch has nothing to undo, and what has gone back does not go forward again.
	if e.Step == "" || e.End || (p.undone == e.Change && (!e.Undoing || e.Kind == "fetch")) {
		return
	}
	e.Message = e.Said.In(p.words, e.Message)
	text := fmt.Sprintf("%2d/%d %s", e.StepNumber, e.StepCount, p.words.Step(e.Step, e.Undoing))
	if e.Kind == "fetch" && e.Message != "" { // told once; bytes are counted beside it
		if !p.said[e.Message] {
			if p.said == nil {
				p.said = map[string]bool{}
			}
			p.said[e.Message] = true
			p.line(p.words.Colon(text, e.Message))
		}
	} else if !p.live && e.Message != "" {
		p.line(p.words.Colon(text, e.Message))
	} else if !p.live {
		p.line(text)
	}
	if !p.live {
		return
	}
	if e.Total > 0 {
		text = fmt.Sprintf("%s %s  %s  %s", pad(text, 34), bar(e.Done, e.Total), p.words.Of(e.Done, e.Total), p.left(e))
	} else if e.Message != "" {
		text += "   " + e.Message
	}
	fmt.Fprint(p.out, "\r\x1b[K"+clip(text, p.width()-1))
}

func (p *progress) head(u *api.Update) string {
	text := arrow(u.From, u.To)
	if u.BytesFetched > 0 {
		text += "   " + p.words.Say("cli.fetched", "size", p.words.Size(u.BytesFetched))
	}
	return text
}

// line prints a line of its own, once.
func (p *progress) line(text string) {
	if text == p.last {
		return
	}
	p.last = text
	if p.live {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
	fmt.Fprintln(p.out, text)
}

// end removes the drawn line.
func (p *progress) end() {
	if p.live {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

// left says how long the bytes of this step will still take at the speed so far, "" while nobody knows.
func (p *progress) left(e api.Event) string {
	key := fmt.Sprint(e.Change, e.Step, e.Undoing)
	if key != p.step || e.Done < p.base {
		p.step, p.began, p.base = key, p.now(), e.Done
	}
	spent, moved := p.now().Sub(p.began), e.Done-p.base
	if spent < time.Second || moved <= 0 {
		return ""
	}
	return short(time.Duration(float64(spent) / float64(moved) * float64(max(0, e.Total-e.Done))))
}

func bar(done, total int64) string {
	const length = 18
	n := int(min(max(float64(done)/float64(total), 0), 1) * length)
	return strings.Repeat("█", n) + strings.Repeat("░", length-n)
}

func clip(s string, width int) string {
	if width < 1 || displayed(s) <= width {
		return s
	}
	for i := range s {
		if displayed(s[:i]) == width {
			return s[:i]
		}
	}
	return s
}

// paint colours a word on a terminal. Colours are 32 (green) and 31 (red).
func (p *progress) paint(color int, s string) string {
	if !p.color {
		return s
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", color, s)
}
