package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"dhow/agent/api"
	"dhow/bundle/durable"
	"dhow/manifest/report"
)

// keptReports is the folder of the fleet repository with the newest report of each site, SITE.json. The key of that file is the one that was
// accepted.
const keptReports = "reports"

// Bounds of a folder with reports.
const (
	mostReports   = 100_000
	reportFolders = 1000
)

// reportDesk compares reports with those that are kept.
type reportDesk struct {
	dir     string // of the fleet repository
	fleet   string
	accept  bool
	sites   map[string]*deskSite
	refused []refusal
}

// deskSite is what is known of a site. key is the accepted one, or the one that waits to be.
type deskSite struct {
	newest *report.Report
	key    string
	files  []string
	notes  []string
}

// read takes what is kept and what the places hold, and keeps what is newer.
func (d *reportDesk) read(places []string) error {
	d.sites = map[string]*deskSite{}
	kept, err := reportsIn(filepath.Join(d.dir, keptReports), false)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, file := range kept {
		r, key, _, err := readReport(file)
		if err != nil || filepath.Base(file) != r.Site+".json" {
			return fail(api.CodeNotTrusted, fmt.Sprintf("%s is damaged: %v", file, err), "take it back from git, or delete it and accept the site's key again")
		}
		d.sites[r.Site] = &deskSite{newest: &r, key: key}
	}
	for _, place := range places {
		files, err := reportsIn(place, true)
		if err != nil {
			return fail(api.CodeUnreachable, "cannot read reports: "+err.Error(), "is the stick plugged in, and the path right?")
		}
		for _, file := range files {
			if err := d.take(file); err != nil {
				return err
			}
		}
	}
	return nil
}

// take judges one report.
func (d *reportDesk) take(file string) error {
	refuse := func(code int, hint, format string, args ...any) error {
		d.refused = append(d.refused, refusal{code, hint, file, fmt.Sprintf(format, args...)})
		return nil
	}
	r, key, data, err := readReport(file)
	switch {
	case err != nil:
		return refuse(api.CodeNotTrusted, "ask the site for a new one: dhow report --to /media/usb", "%v", err)
	case r.Fleet != d.fleet:
		return refuse(api.CodeNotTrusted, "name its own fleet repository with -C", "it is of fleet %s", dash(r.Fleet))
	}
	s := d.sites[r.Site]
	if s == nil {
		s = &deskSite{key: key}
		d.sites[r.Site] = s
	}
	s.files = append(s.files, file)
	if s.key != key {
		s.notes = append(s.notes, "CHANGED KEY in "+file)
		return refuse(api.CodeNotTrusted, "ask the site; was the computer replaced, delete "+keptReports+"/"+r.Site+".json and accept its new key",
			"site %s signs with another key than the accepted one: %s, not %s", r.Site, report.Fingerprint(key), report.Fingerprint(s.key))
	}
	switch {
	case s.newest == nil && !d.accept:
		s.notes = append(s.notes, "key not accepted yet: "+report.Fingerprint(key))
		return refuse(api.CodeNotConfirmed, "compare the fingerprint with what dhow report says at the site, then: dhowctl fleet status --accept --from …",
			"the key of site %s is not accepted yet: %s", r.Site, report.Fingerprint(key))
	case s.newest != nil && r.Number < s.newest.Number:
		s.notes = append(s.notes, fmt.Sprintf("%s is older: report %d, and %d was seen", file, r.Number, s.newest.Number))
		return nil
	case s.newest != nil && r.Number == s.newest.Number:
		return nil
	}
	s.newest = &r
	dir := filepath.Join(d.dir, keptReports)
	if err := durable.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cannot keep the report of %s: %w", r.Site, err)
	}
	if err := durable.WriteFile(filepath.Join(dir, r.Site+".json"), data, 0o644); err != nil {
		return fmt.Errorf("cannot keep the report of %s: %w", r.Site, err)
	}
	return nil
}

// reportsIn lists the reports at a path: the file itself, or those in a folder and, given names of sites' making, in the folders there. Links are
// not followed.
func reportsIn(place string, named bool) (files []string, err error) {
	info, err := os.Stat(place)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{place}, nil
	}
	root, err := os.OpenRoot(place)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	folders := []string{"."}
	for n := 0; n < len(folders) && n < reportFolders; n++ {
		entries, err := fs.ReadDir(root.FS(), folders[n])
		if err != nil {
			return files, err
		}
		for _, e := range entries {
			name := path.Join(folders[n], e.Name())
			switch {
			case e.IsDir() && n == 0 && named:
				folders = append(folders, name)
			case e.Type().IsRegular() && (named && report.IsFileName(e.Name()) || !named && path.Ext(name) == ".json") && len(files) < mostReports:
				files = append(files, filepath.Join(place, filepath.FromSlash(name)))
			}
		}
	}
	return files, nil
}

func readReport(file string) (r report.Report, key string, data []byte, err error) {
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() { // opening a pipe would wait for ever
		return r, "", nil, report.ErrInvalid
	}
	f, err := os.Open(file)
	if err != nil {
		return r, "", nil, err
	}
	defer f.Close()
	if data, err = io.ReadAll(io.LimitReader(f, report.MaxSize+1)); err != nil {
		return r, "", nil, err
	}
	r, key, err = report.Parse(data)
	return r, key, data, err
}
