package split

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"dhow/bundle"
)

// fault says what is wrong with a file, as the end of a sentence.
type fault string

const (
	missing fault = "is missing"
	changed fault = "is damaged or of another making"
)

// Damage is a bundle.ErrDamaged in words for people.
type Damage string

func damaged(format string, args ...any) error { return Damage(fmt.Sprintf(format, args...)) }

// Error implements error.
func (d Damage) Error() string { return string(d) }

// Is reports whether target is bundle.ErrDamaged.
func (d Damage) Is(target error) bool { return target == bundle.ErrDamaged }

// label is how people know a file: the end of its name.
func (p *Parts) label(file int) string {
	return strings.TrimPrefix(p.sums.files()[file].Name, p.sums.Name+".")
}

// note remembers what is wrong with a file.
func (p *Parts) note(file int, err error) {
	if _, known := p.why[file]; known {
		return
	}
	p.why[file] = changed
	if system := (*fs.PathError)(nil); errors.As(err, &system) {
		p.why[file] = fault(fmt.Sprintf("can't be read (%v)", system.Err))
	}
}

// tooMany names the files that are known to be wrong: there is not enough parity for them.
func (p *Parts) tooMany() error {
	lost := p.wrong()
	const shown = 5
	var texts []string
	for _, f := range lost[:min(len(lost), shown)] {
		texts = append(texts, p.sentence(f))
	}
	if more := len(lost) - shown; more > 0 {
		texts = append(texts, fmt.Sprintf("%d more", more))
	}
	text, again := strings.Join(texts, ", "), "copy it again"
	if len(lost) > 1 {
		again = "copy them again"
	}
	if n := len(p.sums.Parity); n > 0 {
		return damaged("%s, and the parity makes up for %d: %s", text, n, again)
	}
	return damaged("%s: %s", text, again)
}

// sentence is like "part 003 of emr.tgz is missing".
func (p *Parts) sentence(file int) string {
	return fmt.Sprintf("part %s of %s %s", p.label(file), p.sums.Name, p.why[file])
}

// wrong are the numbers of the files with which something is wrong.
func (p *Parts) wrong() (list []int) {
	for f := range p.why {
		list = append(list, f)
	}
	slices.Sort(list)
	return list
}

// Problems says what was found wrong up to now, a sentence for each file. When reading went well all the same, parity has made up for it.
func (p *Parts) Problems() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []string
	for _, f := range p.wrong() {
		list = append(list, p.sentence(f)+"; the parity makes up for it: copy it again")
	}
	return list
}

// Wrong are the names of the files with which something was found wrong up to now.
func (p *Parts) Wrong() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := []string{}
	for _, f := range p.wrong() {
		list = append(list, p.sums.files()[f].Name)
	}
	return list
}

// Check reads all files, or only the parity, which is not read as long as nothing is wrong. It fails, naming all files that are wrong, when
// somewhere more is damaged than can be rebuilt.
func (p *Parts) Check(ctx context.Context, parityOnly bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.data = nil
	parts := len(p.sums.Parts)
	wrong := make([]int, blocks(p.sums.Parts[0].Size)) // at each place
	for i, f := range p.sums.files() {
		if parityOnly && i < parts {
			continue
		}
		for n := range f.Blocks {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if _, err := p.readBlock(i, n, p.buf); err != nil {
				p.note(i, err)
				wrong[n]++
			}
		}
	}
	if slices.Max(wrong) > len(p.sums.Parity) {
		return p.tooMany()
	}
	return nil
}
