package site

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"dhow/bundle/durable"

	"github.com/compose-spec/compose-go/v2/dotenv"
)

// ReadSettings reads a file in the .env syntax of compose. A value may refer to an earlier one (${NAME}), never to the environment
// of this process. Errors name the line but never its content. A file that is not there is fs.ErrNotExist.
func ReadSettings(path string) (map[string]string, error) {
	data, err := readBounded(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read settings: %w", err)
	}
	values, err := ParseSettings(data)
	if err != nil {
		return nil, fmt.Errorf("cannot read settings: %s: %w", path, err)
	}
	return values, nil
}

// ParseSettings reads text in the .env syntax of compose.
func ParseSettings(data []byte) (map[string]string, error) {
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return nil, fmt.Errorf("line %d: not a text file", 1+bytes.Count(data[:i], []byte("\n")))
	}
	values, err := dotenv.Parse(bytes.NewReader(data))
	if err != nil {
		return nil, withoutValues(err)
	}
	return values, nil
}

var settingLine = regexp.MustCompile(`^line \d+: `)

// withoutValues says what the library says without the text of the file, which may be a password.
func withoutValues(err error) error {
	where := settingLine.FindString(err.Error())
	switch rest := strings.TrimPrefix(err.Error(), where); {
	case strings.HasPrefix(rest, "unterminated quoted value"):
		return errors.New("a quote is opened and never closed") // the library's line is where the file ends
	case strings.HasPrefix(rest, "unexpected character"), strings.HasPrefix(rest, "key cannot contain"):
		return fmt.Errorf("%snot in the form NAME=VALUE", where)
	}
	return fmt.Errorf("%sa value refers to another in a form that is not understood; write $$ for a dollar sign", where)
}

var (
	settingName  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)
	plainSetting = regexp.MustCompile(`^[A-Za-z0-9_./:@%+,=-]+$`)
)

// CheckSetting says whether name can be the name of a setting.
func CheckSetting(name string) error {
	if !settingName.MatchString(name) {
		return fmt.Errorf("%q can't be the name of a setting: use letters, digits and '_', a letter first", name)
	}
	return nil
}

// WriteSettings puts the settings at path, readable by the owner only, in the order of their names.
func WriteSettings(path string, values map[string]string) error {
	var out strings.Builder
	out.WriteString("# Settings of this site, in the syntax of a compose .env file. Keep it secret.\n")
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if err := CheckSetting(name); err != nil {
			return fmt.Errorf("cannot write settings: %w", err)
		}
		out.WriteString(name + "=" + quote(values[name]) + "\n")
	}
	// A setting that would be read back as another one must never be written.
	back, err := ParseSettings([]byte(out.String()))
	if err != nil || !maps.Equal(back, values) {
		return errors.New("cannot write settings: a value holds characters that a .env file can't hold")
	}
	if err := durable.WriteFile(path, []byte(out.String()), 0o600); err != nil {
		return fmt.Errorf("cannot write settings: %w", err)
	}
	return nil
}

// SecureSettings gives the settings file its mode back.
func SecureSettings(path string) error { return os.Chmod(path, 0o600) }

func quote(v string) string {
	switch {
	case plainSetting.MatchString(v):
		return v
	case !strings.ContainsAny(v, "'\\"):
		return "'" + v + "'"
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`).Replace(v) + `"`
}
