package author

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"gopkg.in/yaml.v3"

	"dhow/manifest"
)

// use is one place where a variable is read.
type use struct {
	name, op, rest string
	where          string
	path           []string // keys from the top of the document to the text
	text           string
	nested         bool // stands in the default of another variable: may never be read
}

// passed is the op of a use that hands the variable to a container under its own name.
const passed = "="

// variables sorts the variables of a project into those of the release and those of the site.
type variables struct {
	values map[string]string // given by --env-file, or fixed because an image depends on them
	given  map[string]string // name to the file that gives it
	uses   map[string][]use
	fixed  []string // names whose default became the release's value
}

// readEnvFiles reads the files of --env-file in order; later ones win. Nothing of the process environment is used.
func readEnvFiles(files []string) (*variables, error) {
	v := &variables{values: map[string]string{}, given: map[string]string{}, uses: map[string][]use{}}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			hint := ""
			if errors.Is(err, fs.ErrNotExist) {
				hint = "name it as it is seen from the folder in which you are, or leave --env-file away"
			}
			return nil, problem("", hint, "cannot read env file: %w", err)
		}
		values, err := dotenv.ParseWithLookup(bytes.NewReader(data), func(name string) (string, bool) {
			value, ok := v.values[name]
			return value, ok
		})
		if err != nil {
			return nil, envFileError("", "env file "+file, data)
		}
		for name, value := range values {
			v.values[name] = value
			v.given[name] = filepath.Base(file)
		}
	}
	return v, nil
}

// envFileError says which line of an env file is wrong. The parser's own error counts badly and quotes the text, which may be a
// secret: the line is found by leaving off lines from the end until the rest can be read.
func envFileError(where, what string, data []byte) error {
	lines := bytes.SplitAfter(data, []byte("\n"))
	n := min(len(lines), 2000)
	for ; n > 0; n-- {
		_, err := dotenv.ParseWithLookup(bytes.NewReader(bytes.Join(lines[:n], nil)), func(string) (string, bool) { return "x", true })
		if err == nil {
			break
		}
	}
	return problem(where, "", "cannot read %s: line %d is not NAME=value", what, n+1)
}

// builtin reports whether compose itself sets or reads the variable.
func builtin(name string) bool { return strings.HasPrefix(name, "COMPOSE_") }

func (v *variables) add(u use) {
	if !builtin(u.name) {
		v.uses[u.name] = append(v.uses[u.name], u)
	}
}

func (v *variables) addText(text, where string, path []string, nested bool) {
	for _, e := range expansions(text) {
		v.add(use{name: e.name, op: e.op, rest: e.rest, where: where, path: path, text: text, nested: nested})
		if e.op != "?" && e.op != ":?" {
			v.addText(e.rest, where, path, true)
		}
	}
}

// find records every variable that the documents read, in services of any profile: compose wants them all.
func (v *variables) find(d *documents) {
	for _, doc := range d.all {
		for _, root := range doc.roots {
			scalars(root, nil, func(node *yaml.Node, path []string) {
				v.addText(node.Value, doc.at(node), path, false)
			})
			v.findPassed(doc, root)
		}
	}
}

// findPassed records variables without a $: entries of environment without a value, and configs and secrets from the environment.
func (v *variables) findPassed(doc *document, root *yaml.Node) {
	mappings(root, func(m *yaml.Node) {
		env := field(m, "environment")
		for _, entry := range sequence(env) {
			if entry.Kind == yaml.ScalarNode && nameLength(entry.Value) == len(entry.Value) && entry.Value != "" {
				v.add(use{name: entry.Value, op: passed, where: doc.at(entry)})
			}
		}
		if env != nil && env.Kind == yaml.MappingNode {
			for i := 0; i+1 < len(env.Content); i += 2 {
				if env.Content[i+1].Tag == "!!null" {
					v.add(use{name: env.Content[i].Value, op: passed, where: doc.at(env.Content[i])})
				}
			}
		}
	})
	for _, section := range []string{"configs", "secrets"} {
		if all := field(root, section); all != nil && all.Kind == yaml.MappingNode {
			for i := 1; i < len(all.Content); i += 2 {
				if env := field(all.Content[i], "environment"); env != nil && env.Kind == yaml.ScalarNode {
					v.add(use{name: env.Value, where: doc.at(env)})
				}
			}
		}
	}
}

// findInEnvFile records the variables that an env_file of a service reads from the project; not those that the service sets.
func (v *variables) findInEnvFile(from, path string, data []byte, set map[string]bool) error {
	asked := map[string]bool{}
	var own map[string]string
	for _, full := range []bool{false, true} { // what is asked depends on what has a value
		values, err := dotenv.ParseWithLookup(bytes.NewReader(data), func(name string) (string, bool) {
			asked[name] = true
			return "x", full
		})
		if err == nil {
			own = values
		} else if full {
			return envFileError(from, "env_file "+path, data)
		}
	}
	for i, line := range strings.Split(string(data), "\n") {
		name, _, hasValue := strings.Cut(strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "export ")), "=")
		if strings.HasPrefix(name, "#") {
			continue
		}
		where := fmt.Sprintf("%s:%d", path, i+1)
		if !hasValue && name != "" && nameLength(name) == len(name) {
			v.add(use{name: name, op: passed, where: where})
		}
		for _, e := range expansions(line) {
			if _, defined := own[e.name]; asked[e.name] && !defined && !set[e.name] {
				v.add(use{name: e.name, op: e.op, rest: e.rest, where: where, text: line})
			}
		}
	}
	return nil
}

// placeholder begins the stand-in for a required folder of the site; the variable's name follows.
const placeholder = "/site-setting/"

// stand returns the values to read the project with: the release's, and a harmless stand-in for each setting that has no
// default. other, when not "", is tried in place of the usual stand-in.
func (v *variables) stand(other string) map[string]string {
	values := map[string]string{}
	for name, value := range v.values {
		values[name] = value
	}
	for name, uses := range v.uses {
		if _, ok := values[name]; ok || !slices.ContainsFunc(uses, needed) {
			continue
		}
		switch {
		case slices.ContainsFunc(uses, isFolder):
			values[name] = placeholder + name
		case other != "":
			values[name] = other
		default:
			values[name] = "1"
		}
	}
	return values
}

// needed reports whether the use has no value when nobody gives one.
func needed(u use) bool { return u.op == "" || u.op == "?" || u.op == ":?" }

// isFolder reports whether the use stands where compose expects the source of a mount.
func isFolder(u use) bool {
	n := len(u.path)
	if n == 0 {
		return false
	}
	inVolumes := slices.Contains(u.path, "volumes") && (u.path[n-1] == "volumes" || u.path[n-1] == "source")
	return inVolumes && (strings.HasPrefix(u.text, "${"+u.name) || strings.HasPrefix(u.text, "$"+u.name))
}

// fix makes the default of a variable the release's own value, because an image is chosen by it. A variable with several
// defaults keeps them as they stand in the documents.
func (v *variables) fix(name string) {
	if _, ok := v.values[name]; ok {
		return
	}
	value, one := v.defaultOf(name)
	if one {
		v.values[name] = value
	}
	v.fixed = append(v.fixed, name)
}

// choosesImage reports whether the image of a service depends on the variable.
func (v *variables) choosesImage(name string) bool {
	return slices.ContainsFunc(v.uses[name], func(u use) bool {
		return len(u.path) == 3 && u.path[0] == "services" && u.path[2] == "image"
	})
}

// defaultOf returns the value that all uses with a default agree on.
func (v *variables) defaultOf(name string) (value string, one bool) {
	for i, u := range v.withDefault(name) {
		text, err := expand(u.rest, v.values)
		if err != nil || slices.ContainsFunc(names(u.rest), func(n string) bool { return v.open(n) && len(v.withDefault(n)) == 0 }) {
			return "", false
		}
		if i > 0 && text != value {
			return "", false
		}
		value, one = text, true
	}
	return value, one
}

// open reports whether nobody has given name a value yet.
func (v *variables) open(name string) bool {
	_, ok := v.values[name]
	return !ok
}

func (v *variables) withDefault(name string) []use {
	var with []use
	for _, u := range v.uses[name] {
		if u.op == "-" || u.op == ":-" {
			with = append(with, u)
		}
	}
	return with
}

// release returns the release variables: those with a value that something reads.
func (v *variables) release() map[string]string {
	out := map[string]string{}
	for name := range v.uses {
		if value, ok := v.values[name]; ok {
			out[name] = value
		}
	}
	return out
}

// settings returns what is left to the site, by name, and warnings about what looks wrong.
func (v *variables) settings() (settings []manifest.Setting, warnings []string) {
	for _, name := range sortedKeys(v.uses) {
		if !v.open(name) || slices.Contains(v.fixed, name) {
			continue
		}
		uses := v.uses[name]
		s := manifest.Setting{Name: name}
		for _, u := range uses {
			s.Required = s.Required || needed(u) && !u.nested
		}
		with := v.withDefault(name)
		if value, one := v.defaultOf(name); one && !s.Required {
			s.Default = value
			if secret(name) && value != "" {
				warnings = append(warnings, fmt.Sprintf(
					"%s: %s has a default, so every site that sets none has the same; ${%s:?} would make it required", with[0].where, name, name))
			}
		} else if len(with) > 1 && !s.Required {
			warnings = append(warnings, fmt.Sprintf("%s: %s has different defaults in different places", with[0].where, name))
		}
		settings = append(settings, s)
	}
	return settings, warnings
}

// unused lists what the env files give and nothing reads.
func (v *variables) unused() []string {
	var out []string
	for _, name := range sortedKeys(v.given) {
		if len(v.uses[name]) == 0 && !builtin(name) {
			out = append(out, fmt.Sprintf("%s: nothing reads %s", v.given[name], name))
		}
	}
	return out
}

// exposed lists the release variables that look like secrets.
func (v *variables) exposed() []string {
	var out []string
	for _, name := range sortedKeys(v.given) {
		if len(v.uses[name]) > 0 && secret(name) && v.values[name] != "" {
			out = append(out, fmt.Sprintf("%s: %s looks like a secret and goes into the release, where every site can read it; "+
				"leave it out to make it a site setting", v.given[name], name))
		}
	}
	return out
}

func secret(name string) bool {
	for _, word := range []string{"PASSWORD", "PASSWD", "SECRET", "TOKEN", "PRIVATE_KEY", "API_KEY", "CREDENTIAL"} {
		if strings.Contains(strings.ToUpper(name), word) && !strings.HasSuffix(strings.ToUpper(name), "_FILE") {
			return true
		}
	}
	return false
}

// scalars calls visit for every value (not key) below node. path holds the keys above it and is only valid during the call.
func scalars(node *yaml.Node, path []string, visit func(*yaml.Node, []string)) {
	switch node.Kind {
	case yaml.ScalarNode:
		visit(node, slices.Clone(path))
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			scalars(node.Content[i+1], append(path, node.Content[i].Value), visit)
		}
	case yaml.SequenceNode, yaml.DocumentNode:
		for _, child := range node.Content {
			scalars(child, path, visit)
		}
	}
}
