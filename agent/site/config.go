package site

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"

	"dhow/bundle/durable"
	"dhow/manifest"

	"gopkg.in/yaml.v3"
)

// maxFile bounds the configuration and the settings, in bytes.
const maxFile = 1 << 20

// Config is the content of dhow.yaml. Empty fields mean what Keys says.
type Config struct {
	Site     string            `yaml:"site"`
	Sources  []string          `yaml:"sources,omitempty"`
	Mirrors  map[string]string `yaml:"mirrors,omitempty"`
	Project  string            `yaml:"project,omitempty"`
	Fetch    string            `yaml:"fetch,omitempty"`
	Window   string            `yaml:"window,omitempty"`
	TimeZone string            `yaml:"time_zone,omitempty"`
	Rate     string            `yaml:"rate,omitempty"`
	Quiet    string            `yaml:"quiet,omitempty"`
	Budget   manifest.Budget   `yaml:"budget,omitempty"`
	Language string            `yaml:"language,omitempty"`
	Contact  string            `yaml:"contact,omitempty"`
	Engine   string            `yaml:"engine,omitempty"`
	Serve    string            `yaml:"serve,omitempty"`
	Page     Page              `yaml:"page,omitempty"`
	Metrics  string            `yaml:"metrics,omitempty"`
	Hook     []string          `yaml:"hook,omitempty"`
	Notify   string            `yaml:"notify,omitempty"`
	Adopt    *Adopt            `yaml:"adopt,omitempty"`
	Restore  *Restore          `yaml:"restore,omitempty"`
	Backup   Backup            `yaml:"backup,omitempty"`
	Sticks   Sticks            `yaml:"sticks,omitempty"`
}

// Adopt names a stack that ran here before Dhow. Dir is absolute; Files are relative to it.
type Adopt struct {
	Dir     string   `yaml:"dir"`
	Files   []string `yaml:"files"`
	Project string   `yaml:"project"`
}

// ConfigError is a mistake in the configuration and its place. Line and Column count from 1, and are 0 where they are not known.
type ConfigError struct {
	Path         string
	Line, Column int
	Message      string
	Kind         string   // of its sentence in package words: "config.KIND"
	Args         []string // names and values by turns
}

func (e *ConfigError) Error() string {
	switch {
	case e.Line == 0:
		return e.Path + ": " + e.Message
	case e.Column == 0:
		return fmt.Sprintf("%s:%d: %s", e.Path, e.Line, e.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.Path, e.Line, e.Column, e.Message)
}

// Problem is what is wrong, as arguments of a sentence for people: problem in English, and problem_kind with its own arguments for all languages.
func (e *ConfigError) Problem() []string {
	return append([]string{"problem", e.Message, "problem_kind", e.Kind}, e.Args...)
}

// Problem is what a check of a single value (CheckName, ParseWindow, ParseSchedule and the like) has to say, as ConfigError has it.
func Problem(err error) []string {
	var p *problem
	if !errors.As(err, &p) {
		p = &problem{kind: "other", args: []string{"cause", err.Error()}, text: err.Error()}
	}
	return append([]string{"problem", p.text, "problem_kind", p.kind}, p.args...)
}

// problem is what is wrong with a value. It has no place yet.
type problem struct {
	kind string
	args []string
	text string
}

func (p *problem) Error() string { return p.text }

// wrong makes a problem: the arguments of its sentence come as names and values by turns, and the values fill the English text by turns, too.
func wrong(kind, format string, args ...string) error {
	var values []any
	for i := 1; i < len(args); i += 2 {
		values = append(values, args[i])
	}
	return &problem{kind: kind, args: args, text: fmt.Sprintf(format, values...)}
}

// LoadConfig reads and validates the configuration. Mistakes are a *ConfigError; a file that is not there is fs.ErrNotExist.
func LoadConfig(path string) (*Config, error) {
	data, err := readBounded(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read configuration: %w", err)
	}
	c, err := ParseConfig(data)
	var mistake *ConfigError
	if errors.As(err, &mistake) {
		mistake.Path = path
	}
	return c, err
}

// ParseConfig reads and validates the text of a configuration. Errors are *ConfigError with an empty Path.
func ParseConfig(data []byte) (*Config, error) {
	var doc yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return nil, syntaxError(data, err)
	}
	if len(doc.Content) == 0 {
		return nil, &ConfigError{Message: "the configuration is empty", Kind: "empty"}
	}
	c := &Config{}
	root := doc.Content[0]
	text := func(to *string, check func(string) error) field {
		return field{func(n *yaml.Node) error { return readText(n, to, check) }}
	}
	err := readMapping(root, map[string]field{
		"site":      text(&c.Site, CheckName),
		"sources":   {func(n *yaml.Node) error { return readList(n, &c.Sources) }},
		"mirrors":   {func(n *yaml.Node) error { return readMirrors(n, &c.Mirrors) }},
		"project":   text(&c.Project, nil),
		"fetch":     text(&c.Fetch, func(s string) error { return second(ParseSchedule(s, "", "")) }),
		"window":    text(&c.Window, func(s string) error { return second(ParseWindow(s, "")) }),
		"time_zone": text(&c.TimeZone, func(s string) error { return second(zone(s)) }),
		"rate":      text(&c.Rate, func(s string) error { return inManifest("rate", s, second(manifest.ParseRate(s))) }),
		"quiet":     text(&c.Quiet, func(s string) error { return inManifest("quiet", s, second(manifest.ParseQuiet(s))) }),
		"budget": {func(n *yaml.Node) error {
			size := func(s string) error { return inManifest("size", s, second(manifest.ParseSize(s))) }
			return readMapping(n, map[string]field{"day": text(&c.Budget.Day, size), "month": text(&c.Budget.Month, size)})
		}},
		"language": text(&c.Language, nil),
		"contact":  text(&c.Contact, nil),
		"engine":   text(&c.Engine, nil),
		"serve":    text(&c.Serve, CheckServe),
		"page":     {func(n *yaml.Node) error { return readPage(n, &c.Page) }},
		"metrics":  text(&c.Metrics, CheckMetrics),
		"hook":     {func(n *yaml.Node) error { return readHook(n, &c.Hook) }},
		"notify":   text(&c.Notify, CheckNotify),
		"adopt": {func(n *yaml.Node) error {
			c.Adopt = &Adopt{}
			if err := readMapping(n, map[string]field{
				"dir":     text(&c.Adopt.Dir, nil),
				"files":   {func(n *yaml.Node) error { return readList(n, &c.Adopt.Files) }},
				"project": text(&c.Adopt.Project, nil),
			}); err != nil {
				return err
			}
			if c.Adopt.Dir == "" || len(c.Adopt.Files) == 0 || c.Adopt.Project == "" {
				return mistake(n, wrong("adopt", "adopt needs dir, files and project"))
			}
			return nil
		}},
		"restore": {func(n *yaml.Node) error {
			c.Restore = &Restore{}
			return readRestore(n, c.Restore)
		}},
		"backup": {func(n *yaml.Node) error { return readBackup(n, &c.Backup) }},
		"sticks": {func(n *yaml.Node) error { return readSticks(n, &c.Sticks) }},
	})
	if err != nil {
		return nil, err
	}
	if c.Site == "" {
		return nil, mistake(root, wrong("site_missing", `"site" is missing: the name of this computer in the fleet`))
	}
	return c, nil
}

// BytesPerSecond is Rate as a number, 0 for no limit.
func (c *Config) BytesPerSecond() int64 {
	n, _ := manifest.ParseRate(c.Rate) // checked when it was read
	return n
}

// Budgets are the amounts of Budget in bytes, 0 for any.
func (c *Config) Budgets() (day, month int64) {
	day, _ = manifest.ParseSize(c.Budget.Day) // checked when they were read
	month, _ = manifest.ParseSize(c.Budget.Month)
	return day, month
}

// Save puts the configuration at path, readable by everybody: it holds no secret.
func (c *Config) Save(path string) error {
	var out bytes.Buffer
	out.WriteString("# Configuration of Dhow at this site. Settings and passwords are in site.env.\n")
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(c); err != nil {
		return fmt.Errorf("cannot write configuration: %w", err)
	}
	if err := durable.WriteFile(path, out.Bytes(), 0o644); err != nil {
		return fmt.Errorf("cannot write configuration: %w", err)
	}
	return nil
}

// CopyConfig keeps a copy of the configuration at path.
func CopyConfig(path, to string) error {
	data, err := readBounded(path)
	if err != nil {
		return err
	}
	if old, err := readBounded(to); err == nil && bytes.Equal(old, data) {
		return nil
	}
	if err := durable.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(to, data, 0o600)
}

var siteName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// CheckName says whether s can be the name of a site.
func CheckName(s string) error {
	if !siteName.MatchString(s) {
		return wrong("site_name", "%q can't be the name of a site: use up to 63 letters, digits, '.', '_' and '-', a letter or digit first", "value", s)
	}
	return nil
}

// inManifest gives a kind to what is wrong with a value that the manifest may have, too.
func inManifest(kind, value string, err error) error {
	if err == nil {
		return nil
	}
	return &problem{kind: kind, args: []string{"value", value}, text: err.Error()}
}

func second[T any](_ T, err error) error { return err }

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: larger than 1 MiB", path)
	}
	return data, nil
}
