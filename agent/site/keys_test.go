package site

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// knownBelow asks the parser itself which keys it knows below a key, or at the top.
func knownBelow(t *testing.T, key string) []string {
	t.Helper()
	text := "site: a\n"
	if key != "" {
		text += key + ":\n  "
	}
	_, err := ParseConfig([]byte(text + "a-key-that-is-not-there: 1\n"))
	var mistake *ConfigError
	if !errors.As(err, &mistake) {
		t.Fatalf("below %q: %v", key, err)
	}
	_, list, ok := strings.Cut(mistake.Message, "(known are ")
	if !ok {
		return nil // it has no keys below it
	}
	return strings.Split(strings.TrimSuffix(list, ")"), ", ")
}

// TestKeys holds the table against the parser: every key that is read is explained, and no other.
func TestKeys(t *testing.T) {
	var known []string
	for _, key := range knownBelow(t, "") {
		known = append(known, key)
		if key == "mirrors" { // below it are names of registries
			continue
		}
		for _, below := range knownBelow(t, key) {
			known = append(known, key+"."+below)
		}
	}
	var told []string
	for _, k := range Keys {
		told = append(told, k.Name)
		if k.Meaning == "" {
			t.Errorf("%s means nothing", k.Name)
		}
	}
	slices.Sort(known)
	slices.Sort(told)
	if !slices.Equal(known, told) {
		t.Errorf("the parser knows\n%s\nthe table explains\n%s", strings.Join(known, " "), strings.Join(told, " "))
	}
}

// TestReference reads what the reference shows.
func TestReference(t *testing.T) {
	text := Reference()
	c, err := ParseConfig([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if c.Site != "kin-001" || len(c.Sources) != 2 || c.Budget.Month != "1 GB" || c.Page.Hosts[0] != "emr.local" || c.Backup.Keep != DefaultKeep ||
		c.Backup.At != DefaultBackup || c.Backup.Drill != DefaultDrill || !slices.Equal(c.Sticks.Watch, Sticks{}.Places()) || c.Adopt.Files[0] != "compose.yaml" || c.Restore.From != "/media/usb" {
		t.Errorf("read as %+v", c)
	}
	for line := range strings.Lines(text) {
		if len(line) > 105 {
			t.Errorf("too wide: %s", line)
		}
	}
}
