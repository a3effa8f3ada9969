package sign

import (
	"fmt"
	"slices"
	"strings"

	"dhow/manifest"
)

// secretParts mark the name of a variable as that of a secret wherever they stand in it, secretWords as a word between underscores.
var (
	secretParts = []string{"PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "CREDENTIAL", "APIKEY"}
	secretWords = []string{"KEY", "KEYS", "PASS", "PWD", "PW", "PIN", "SALT", "AUTH", "CERT"}
)

// CheckSetting says whether a setting can stand in fleet.yaml, which is signed and can be read by everybody who can reach a source.
func CheckSetting(name, value string) error {
	f := manifest.Fleet{
		Format: manifest.FleetFormat, Name: "x",
		Rings: map[string]manifest.Ring{"x": {Settings: map[string]string{name: value}}},
	}
	if f.Validate() != nil {
		one := manifest.Fleet{
			Format: manifest.FleetFormat, Name: "x",
			Rings: map[string]manifest.Ring{"x": {Settings: map[string]string{name: ""}}},
		}
		if one.Validate() != nil {
			return fmt.Errorf("%.80q is not the name of a variable: letters, digits and _, a letter first", name)
		}
		return fmt.Errorf("the value of %s must be one line of at most 4000 bytes", name)
	}
	upper := strings.ToUpper(name)
	words := strings.Split(upper, "_")
	if slices.ContainsFunc(secretParts, func(s string) bool { return strings.Contains(upper, s) }) ||
		slices.ContainsFunc(secretWords, func(s string) bool { return slices.Contains(words, s) }) {
		return fmt.Errorf("%s %w: fleet.yaml is signed and can be read by everybody; set it at the site, in site.env", name, ErrSecret)
	}
	return nil
}
