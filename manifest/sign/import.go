package sign

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"dhow/manifest"
)

// Limits of a list of sites.
const (
	maxSiteList  = 16 << 20
	maxSiteRows  = 200_000
	maxToldRows  = 20 // mistakes that are told at once
	columnSite   = "site"
	columnRing   = "ring"
	columnPin    = "pin"
	columnHold   = "hold"
	holdLongName = "hold reason"
)

// ReadSites reads a list of sites as spreadsheets save it: CSV with commas, semicolons or tabs, in UTF-8, with or without a byte order mark.
// The first line names the columns: site and ring, and where wanted pin, hold (its reason) and, under its own name, any setting that is no
// secret. It returns the sites of the list as they will be: one that the fleet has keeps what the list has no column for, an empty cell takes
// away. path stands in the errors, which are Mistakes: all or nothing.
func (f *FleetFile) ReadSites(path string, data []byte, now time.Time) (map[string]manifest.Site, error) {
	l := &siteList{f: f, path: path, now: now.UTC().Truncate(time.Second), sites: map[string]manifest.Site{}, lines: map[string]int{}}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	switch {
	case len(data) > maxSiteList:
		l.fail(0, 0, "it is larger than %d bytes", maxSiteList)
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}) || bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		l.fail(1, 1, "it is in UTF-16: save it as \"CSV UTF-8\"")
	case !utf8.Valid(data):
		good := bytes.ToValidUTF8(data, nil)
		at := 0
		for at < len(good) && good[at] == data[at] {
			at++
		}
		l.fail(1+bytes.Count(data[:at], []byte("\n")), 0, "a letter here is not UTF-8: save it as \"CSV UTF-8\"")
	case len(bytes.TrimSpace(data)) == 0:
		l.fail(1, 1, "it is empty")
	default:
		l.read(data)
	}
	if len(l.mistakes) > 0 {
		return nil, l.mistakes
	}
	return l.sites, nil
}

// siteList is a list of sites that is being read.
type siteList struct {
	f        *FleetFile
	path     string
	now      time.Time
	first    int // lines above the header
	columns  []string
	sites    map[string]manifest.Site
	lines    map[string]int // where each site stands
	mistakes Mistakes
}

func (l *siteList) fail(line, column int, format string, args ...any) {
	l.mistakes = append(l.mistakes, Mistake{Path: l.path, Line: line, Column: column, Text: fmt.Sprintf(format, args...)})
}

func (l *siteList) read(data []byte) {
	if head, rest, _ := bytes.Cut(data, []byte("\n")); bytes.HasPrefix(bytes.ToLower(head), []byte("sep=")) {
		data, l.first = rest, 1 // how Excel notes the separator
	}
	r := csv.NewReader(bytes.NewReader(data))
	r.Comma, r.FieldsPerRecord = separator(data), -1
	for rows := 0; ; rows++ {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			if rows < 2 && len(l.mistakes) == 0 {
				l.fail(l.first+1, 1, "it has no site")
			}
			return
		}
		var wrong *csv.ParseError
		if errors.As(err, &wrong) {
			l.fail(l.first+wrong.Line, wrong.Column, "%v", wrong.Err)
			return
		}
		at := func(i int) (line, column int) {
			line, column = r.FieldPos(i)
			return l.first + line, column
		}
		switch {
		case rows == 0:
			l.header(row, at)
		case rows > maxSiteRows:
			line, _ := at(0)
			l.fail(line, 1, "more than %d sites", maxSiteRows)
		case !slices.ContainsFunc(row, func(s string) bool { return strings.TrimSpace(s) != "" }):
		default:
			l.row(row, at)
		}
		if rows == 0 && len(l.mistakes) > 0 || rows > maxSiteRows || len(l.mistakes) >= maxToldRows {
			return
		}
	}
}

// separator is what stands between the columns of the first line.
func separator(data []byte) rune {
	head, _, _ := bytes.Cut(data, []byte("\n"))
	best := ','
	for _, c := range []rune{';', '\t'} {
		if strings.Count(string(head), string(c)) > strings.Count(string(head), string(best)) {
			best = c
		}
	}
	return best
}

func (l *siteList) header(row []string, at func(int) (int, int)) {
	words := []string{columnSite, columnRing, columnPin, columnHold}
	for i, cell := range row {
		line, column := at(i)
		name := strings.TrimSpace(cell)
		lower := strings.ToLower(name)
		if lower == holdLongName {
			lower = columnHold
		}
		switch {
		case slices.Contains(words, lower):
			name = lower
		case name == "":
			l.fail(line, column, "this column has no name")
		case name == lower && meant(name, words) != "":
			l.fail(line, column, "unknown column %q%s", name, meant(name, words))
		default:
			if err := CheckSetting(name, ""); errors.Is(err, ErrSecret) {
				l.fail(line, column, "%v", err)
			} else if err != nil {
				l.fail(line, column, "column %q is none of site, ring, pin, hold, nor a setting: %v", name, err)
			}
		}
		if slices.Contains(l.columns, name) {
			l.fail(line, column, "two columns are named %q", name)
		}
		l.columns = append(l.columns, name)
	}
	for _, need := range []string{columnSite, columnRing} {
		if !slices.Contains(l.columns, need) && len(l.mistakes) == 0 {
			l.fail(l.first+1, 1, "there is no column %q; the first line names the columns: site, ring, pin, hold, and settings by their names", need)
		}
	}
}

// row adds the site of one line.
func (l *siteList) row(row []string, at func(int) (int, int)) {
	line, _ := at(0)
	if len(row) != len(l.columns) {
		_, column := at(min(len(row)-1, len(l.columns)))
		l.fail(line, column, "%d columns here, %d in the first line", len(row), len(l.columns))
		return
	}
	name := strings.TrimSpace(row[slices.Index(l.columns, columnSite)])
	s := l.f.fleet.Sites[name]
	s.Settings = maps.Clone(s.Settings)
	for i, column := range l.columns {
		cell := strings.TrimSpace(row[i])
		fail := func(format string, args ...any) {
			line, pos := at(i)
			l.fail(line, pos, format, args...)
		}
		switch column {
		case columnSite:
			if manifest.CheckName(name) != nil {
				fail("%q is not a good name: letters, digits, dots and dashes, at most 63", name)
			} else if before := l.lines[name]; before > 0 {
				fail("site %s stands in line %d already", name, before)
			}
		case columnRing:
			if _, ok := l.f.fleet.Rings[cell]; !ok {
				fail("there is no ring %q%s", cell, meant(cell, names(l.f.fleet.Rings)))
			}
			s.Ring = cell
		case columnPin:
			l.pin(&s, cell, fail)
		case columnHold:
			s.Hold = l.hold(s.Hold, cell, fail)
		default:
			s.Settings = l.setting(s.Settings, column, cell, fail)
		}
	}
	if len(s.Settings) == 0 {
		s.Settings = nil
	}
	l.lines[name], l.sites[name] = line, s
}

func (l *siteList) pin(s *manifest.Site, cell string, fail func(string, ...any)) {
	old := *s
	s.Pin, s.Asked = "", ""
	if cell != "" {
		var err error
		if s.Pin, s.Asked, err = manifest.ParsePin(cell); err != nil {
			fail("%v", err)
		}
	}
	if s.Pin != old.Pin || s.Asked != old.Asked {
		s.Downgrade = false
	}
}

// hold returns the hold for a reason; the one that is there keeps its date.
func (l *siteList) hold(old *manifest.Hold, reason string, fail func(string, ...any)) *manifest.Hold {
	f := heldFor(reason)
	switch {
	case reason == "":
		return nil
	case slices.Contains([]string{"no", "false", "0"}, strings.ToLower(reason)):
		fail("hold: %q is no reason: leave the cell empty for a site that is not held", reason)
	case slices.Contains([]string{"yes", "true", "1", "-", "x"}, strings.ToLower(reason)):
		fail("hold: %q is no reason: write why the site is held, or leave the cell empty", reason)
	case f.Validate() != nil:
		fail("hold: the reason must be one line of at most %d bytes", maxReason)
	case old != nil && old.Reason == reason:
		return old
	}
	return &manifest.Hold{Reason: reason, Since: l.now}
}

// LookAlikes lists the groups of sites whose names differ in capital letters only.
func (f *FleetFile) LookAlikes() (groups [][]string) {
	by := map[string][]string{}
	for _, name := range names(f.fleet.Sites) {
		lower := strings.ToLower(name)
		by[lower] = append(by[lower], name)
	}
	for _, lower := range names(by) {
		if len(by[lower]) > 1 {
			groups = append(groups, by[lower])
		}
	}
	return groups
}

func (l *siteList) setting(list map[string]string, name, value string, fail func(string, ...any)) map[string]string {
	if value == "" {
		delete(list, name)
		return list
	}
	if err := CheckSetting(name, value); err != nil {
		fail("%v", err)
	}
	if list == nil {
		list = map[string]string{}
	}
	list[name] = value
	return list
}
