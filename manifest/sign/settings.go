package sign

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"dhow/manifest"
)

// secretParts mark the name of a variable as that of a secret wherever they stand in it, secretWords as a word between underscores.
var (
	secretParts = []string{"PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "CREDENTIAL", "APIKEY"}
	secretWords = []string{"KEY", "KEYS", "PASS", "PWD", "PW", "PIN", "SALT", "AUTH", "CERT"}
)

// secretEnds mark it where its letters end in them, whatever stands before.
var secretEnds = []string{"PASS", "PASSWD", "PASSWORD", "PWD", "KEY", "TOKEN", "SECRET"}

// withPassword matches an address that carries a password: postgres://user:pass@host/db.
var withPassword = regexp.MustCompile(`://[^/?#\s]*:[^/?#\s]+@`)

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
	letters := strings.TrimRight(upper, "_0123456789")
	switch {
	case slices.ContainsFunc(secretParts, func(s string) bool { return strings.Contains(upper, s) }),
		slices.ContainsFunc(secretWords, func(s string) bool { return slices.Contains(words, s) }),
		slices.ContainsFunc(secretEnds, func(s string) bool { return strings.HasSuffix(letters, s) }):
		return secret(name)
	case withPassword.MatchString(value):
		return secret("the value of " + name + ", an address with a password,")
	}
	return nil
}

func secret(what string) error {
	return fmt.Errorf("%s %w: fleet.yaml is signed and can be read by everybody; put it into the site's site.env", what, ErrSecret)
}

// checkPasswords refuses settings that a release has as the password of a database, whatever they are called.
func (v *resolver) checkPasswords(now *manifest.Fleet) error {
	used := map[string]bool{}
	for _, ring := range now.Rings {
		for name := range ring.Settings {
			used[name] = true
		}
	}
	for _, site := range now.Sites {
		for name := range site.Settings {
			used[name] = true
		}
	}
	if len(used) == 0 {
		return nil
	}
	in := map[string]string{} // by variable: the release
	for _, version := range v.known {
		release, err := v.r.Release(version)
		if err != nil {
			return err
		}
		for _, d := range release.Databases {
			if used[d.PasswordEnv] {
				in[d.PasswordEnv] = version
			}
		}
	}
	refuse := func(section, name string, settings map[string]string) {
		for _, key := range names(settings) {
			if in[key] != "" {
				v.mistakes = append(v.mistakes, v.r.fleet.place(section, name, "settings", key).says(ErrSecret, "%v",
					secret(fmt.Sprintf("%s %s: %s, the password of a database in release %s,", words[section], name, key, in[key]))))
			}
		}
	}
	if len(in) > 0 {
		for _, name := range names(now.Rings) {
			refuse("rings", name, now.Rings[name].Settings)
		}
		for _, name := range names(now.Sites) {
			refuse("sites", name, now.Sites[name].Settings)
		}
	}
	return nil
}
