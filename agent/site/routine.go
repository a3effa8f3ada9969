package site

import (
	"path/filepath"
	"strconv"

	"dhow/manifest"

	"gopkg.in/yaml.v3"
)

// Never stands in place of a schedule for what is not to happen by itself.
const Never = manifest.Never

// Defaults of Backup.
const (
	DefaultBackup = "0 2 * * *" // every night at two
	DefaultDrill  = "0 3 1 * *" // on the first of every month at three
	DefaultKeep   = 14
)

// Backup says when backups are made by themselves, and what becomes of them. Empty fields mean the fleet's word, or the defaults above.
type Backup struct {
	At      string   `yaml:"at,omitempty"`      // cron, five fields, or Never
	Drill   string   `yaml:"drill,omitempty"`   // cron, five fields, or Never
	Keep    int      `yaml:"keep,omitempty"`    // how many of the newest
	Days    int      `yaml:"days,omitempty"`    // the oldest age; 0 means any
	Space   string   `yaml:"space,omitempty"`   // for all together, such as "20 GB"; empty means what the disk has
	Folders []string `yaml:"folders,omitempty"` // folders of this computer that belong to the data
	Copies  []string `yaml:"copies,omitempty"`  // places to which every backup is copied, encrypted
}

// Restore names the backup from which a new computer begins, and where its release comes from.
type Restore struct {
	Backup string `yaml:"backup"`
	From   string `yaml:"from,omitempty"` // a bundle; empty means the sources
}

// Budget is Space in bytes, 0 for none.
func (b Backup) Budget() int64 {
	n, _ := manifest.ParseSize(b.Space) // checked when it was read
	return n
}

func readBackup(n *yaml.Node, b *Backup) error {
	schedule := func(s string) error {
		if s == Never {
			return nil
		}
		return second(ParseSchedule(s, "", ""))
	}
	text := func(to *string, check func(string) error) field {
		return field{func(n *yaml.Node) error { return readText(n, to, check) }}
	}
	number := func(to *int, what string) field {
		return field{func(n *yaml.Node) error {
			var s string
			return readText(n, &s, func(s string) error {
				v, err := strconv.Atoi(s)
				if err != nil || v < 1 {
					return wrong("number_"+what, "%q is no number of "+what+": write a whole number from 1 on", "value", s)
				}
				*to = v
				return nil
			})
		}}
	}
	err := readMapping(n, map[string]field{
		"at":      text(&b.At, schedule),
		"drill":   text(&b.Drill, schedule),
		"keep":    number(&b.Keep, "backups"),
		"days":    number(&b.Days, "days"),
		"space":   text(&b.Space, func(s string) error { return inManifest("size", s, second(manifest.ParseSize(s))) }),
		"folders": {func(n *yaml.Node) error { return readList(n, &b.Folders) }},
		"copies":  {func(n *yaml.Node) error { return readList(n, &b.Copies) }},
	})
	if err != nil {
		return err
	}
	for _, f := range b.Folders {
		if !filepath.IsAbs(f) || filepath.Clean(f) != f || f == string(filepath.Separator) {
			return mistake(n, wrong("folder", "folder %q: write the whole path, such as /srv/scans", "value", f))
		}
	}
	return nil
}

func readRestore(n *yaml.Node, r *Restore) error {
	if err := readMapping(n, map[string]field{
		"backup": {func(n *yaml.Node) error { return readText(n, &r.Backup, nil) }},
		"from":   {func(n *yaml.Node) error { return readText(n, &r.From, nil) }},
	}); err != nil {
		return err
	}
	if r.Backup == "" {
		return mistake(n, wrong("restore", "restore needs the name of a backup"))
	}
	return nil
}
