package author

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"dhow/manifest"
)

// extension is what an author wrote under x-dhow. Each part may be absent.
type extension struct {
	from      string
	entry     []string
	databases map[string]manifest.Database // engine "" when it is to be found out
	volumes   map[string]string            // backup by key of the volume
	checks    []manifest.Check
	migrate   []manifest.Migrate
	rollback  string
	notes     map[string]string
	where     map[string]string // "part" or "part/name" to file:line:column
}

// extensionKey is the key of Dhow's own part of a compose file.
const extensionKey = "x-dhow"

// readExtension reads x-dhow from all documents; a part in a later file replaces the same part of an earlier one. Variables of the
// release are put in; those of the sites are refused, because the text is signed.
func readExtension(d *documents, v *variables) (*extension, error) {
	x := &extension{where: map[string]string{}}
	for _, doc := range d.all {
		r := &reader{doc: doc, variables: v}
		for _, root := range doc.roots {
			if services := field(root, "services"); services != nil && services.Kind == yaml.MappingNode {
				for i := 1; i < len(services.Content); i += 2 {
					if key, _ := pair(services.Content[i], extensionKey); key != nil {
						return nil, problem(r.at(key), "", "%s stands under a service; it belongs to the top level", extensionKey)
					}
				}
			}
			if node := field(root, extensionKey); node != nil {
				x.read(r, node)
			}
		}
		if r.err != nil {
			return nil, r.err
		}
	}
	return x, nil
}

func (x *extension) read(r *reader, node *yaml.Node) {
	r.each(node, extensionKey, map[string]func(*yaml.Node){
		"from":  func(n *yaml.Node) { x.from = r.text(n); x.where["from"] = r.at(n) },
		"entry": func(n *yaml.Node) { x.entry = r.texts(n); x.where["entry"] = r.at(n) },
		"databases": func(n *yaml.Node) {
			x.databases = map[string]manifest.Database{}
			r.entries(n, "databases", func(name string, n *yaml.Node) {
				x.where["databases/"+name] = r.at(n)
				x.databases[name] = r.database(name, n)
			})
		},
		"volumes": func(n *yaml.Node) {
			x.volumes = map[string]string{}
			r.entries(n, "volumes", func(name string, n *yaml.Node) {
				x.where["volumes/"+name] = r.at(n)
				r.each(n, "volumes."+name, map[string]func(*yaml.Node){
					"backup": func(n *yaml.Node) { x.volumes[name] = r.oneOf(n, "copy", "none") },
				})
			})
		},
		"checks": func(n *yaml.Node) {
			x.checks = nil
			for _, item := range r.items(n, "checks") {
				x.where["checks/"+strconv.Itoa(len(x.checks))] = r.at(item)
				x.checks = append(x.checks, r.check(item))
			}
		},
		"migrate": func(n *yaml.Node) {
			x.migrate = nil
			for _, item := range r.items(n, "migrate") {
				x.where["migrate/"+strconv.Itoa(len(x.migrate))] = r.at(item)
				x.migrate = append(x.migrate, r.migrate(item))
			}
		},
		"rollback": func(n *yaml.Node) {
			r.each(n, "rollback", map[string]func(*yaml.Node){
				"data": func(n *yaml.Node) { x.rollback = r.oneOf(n, "restore", "keep") },
			})
		},
		"notes": func(n *yaml.Node) {
			x.notes = map[string]string{}
			r.entries(n, "notes", func(language string, n *yaml.Node) { x.notes[language] = r.text(n) })
		},
	})
}

func (r *reader) database(service string, node *yaml.Node) manifest.Database {
	db := manifest.Database{Service: service}
	r.each(node, "databases."+service, map[string]func(*yaml.Node){
		"engine":       func(n *yaml.Node) { db.Engine = r.oneOf(n, "mariadb", "mysql", "postgresql", noDatabase) },
		"databases":    func(n *yaml.Node) { db.Databases = r.texts(n) },
		"user":         func(n *yaml.Node) { db.User = r.text(n) },
		"password_env": func(n *yaml.Node) { db.PasswordEnv = r.text(n) },
	})
	return db
}

func (r *reader) check(node *yaml.Node) manifest.Check {
	var c manifest.Check
	r.each(node, "checks", map[string]func(*yaml.Node){
		"name":     func(n *yaml.Node) { c.Name = r.text(n) },
		"http":     func(n *yaml.Node) { c.HTTP = r.text(n) },
		"status":   func(n *yaml.Node) { c.Status = r.number(n) },
		"contains": func(n *yaml.Node) { c.Contains = r.text(n) },
		"sql":      func(n *yaml.Node) { c.SQL = r.text(n) },
		"query":    func(n *yaml.Node) { c.Query = r.text(n) },
		"at_least": func(n *yaml.Node) { c.AtLeast = r.text(n) },
		"within":   func(n *yaml.Node) { c.Within = r.duration(n) },
	})
	if (c.HTTP == "") == (c.SQL == "") {
		r.fail(node, "", "a check needs either http or sql")
	}
	if c.SQL != "" && c.Query == "" {
		r.fail(node, "", "a check with sql needs a query")
	}
	if c.Name == "" {
		c.Name = c.HTTP + c.Query
	}
	return c
}

func (r *reader) migrate(node *yaml.Node) manifest.Migrate {
	var m manifest.Migrate
	r.each(node, "migrate", map[string]func(*yaml.Node){
		"service": func(n *yaml.Node) { m.Service = r.text(n) },
		"timeout": func(n *yaml.Node) { m.Timeout = r.duration(n) },
	})
	if m.Service == "" {
		r.fail(node, "", "a migrate step needs a service")
	}
	return m
}

// reader reads values of one document and keeps the first error.
type reader struct {
	doc       *document
	variables *variables
	err       error
}

func (r *reader) at(node *yaml.Node) string {
	return fmt.Sprintf("%s:%d:%d", r.doc.path, node.Line, node.Column)
}

func (r *reader) fail(node *yaml.Node, hint, format string, args ...any) {
	if r.err == nil {
		r.err = problem(r.at(node), hint, format, args...)
	}
}

// each calls the function of every key of a mapping, in the order of the file, and refuses keys without one.
func (r *reader) each(node *yaml.Node, what string, known map[string]func(*yaml.Node)) {
	seen := map[string]bool{}
	r.pairs(node, what, func(key, value *yaml.Node) {
		read, ok := known[key.Value]
		switch {
		case seen[key.Value]:
			r.fail(key, "", "%q is given twice in %s", key.Value, what)
		case ok:
			seen[key.Value] = true
			read(value)
		default:
			all := slices.Sorted(maps.Keys(known))
			hint := "known are: " + strings.Join(all, ", ")
			if near := nearest(key.Value, all); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			r.fail(key, hint, "unknown key %q in %s", key.Value, what)
		}
	})
}

func (r *reader) entries(node *yaml.Node, what string, visit func(string, *yaml.Node)) {
	r.pairs(node, what, func(key, value *yaml.Node) { visit(key.Value, value) })
}

func (r *reader) pairs(node *yaml.Node, what string, visit func(key, value *yaml.Node)) {
	node = resolve(node)
	if node.Kind != yaml.MappingNode {
		r.fail(node, "", "%s must be a mapping (key: value)", what)
		return
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		visit(node.Content[i], resolve(node.Content[i+1]))
	}
}

func (r *reader) items(node *yaml.Node, what string) []*yaml.Node {
	node = resolve(node)
	if node.Kind != yaml.SequenceNode {
		r.fail(node, "", "%s must be a list", what)
		return nil
	}
	var out []*yaml.Node
	for _, item := range node.Content {
		out = append(out, resolve(item))
	}
	return out
}

func (r *reader) texts(node *yaml.Node) []string {
	var out []string
	for _, item := range r.items(node, "this") {
		out = append(out, r.text(item))
	}
	return out
}

func (r *reader) text(node *yaml.Node) string {
	if node.Kind != yaml.ScalarNode {
		r.fail(node, "", "a text is expected here")
		return ""
	}
	for _, name := range names(node.Value) {
		if r.variables.open(name) && r.variables.choosesImage(name) {
			r.variables.fix(name)
		}
		if r.variables.open(name) {
			r.fail(node, "give it a value with --env-file, or write $$ for a dollar sign",
				"%s depends on the setting %s, and what stands under %s is the same for every site", node.Value, name, extensionKey)
			return ""
		}
	}
	text, err := expand(node.Value, r.variables.values)
	if err != nil {
		r.fail(node, "", "%w", err)
	}
	return text
}

func (r *reader) oneOf(node *yaml.Node, allowed ...string) string {
	text := r.text(node)
	if r.err == nil && !slices.Contains(allowed, text) {
		r.fail(node, "", "%q is not one of %s", text, strings.Join(allowed, ", "))
	}
	return text
}

func (r *reader) number(node *yaml.Node) int {
	n, err := strconv.Atoi(r.text(node))
	if err != nil {
		r.fail(node, "", "%q is not a number", node.Value)
	}
	return n
}

func (r *reader) duration(node *yaml.Node) time.Duration {
	d, err := time.ParseDuration(r.text(node))
	if err != nil || d <= 0 {
		r.fail(node, "", "%q is not a length of time such as 90s, 15m or 2h", node.Value)
	}
	return d
}

// nearest returns the word of all that s most likely means, or "".
func nearest(s string, all []string) string {
	best, least := "", 3
	for _, word := range all {
		if d := manifest.Distance(strings.ToLower(s), word); d < least {
			best, least = word, d
		}
	}
	for _, word := range all {
		if best == "" && len(s) > 2 && (strings.HasPrefix(word, s) || strings.HasPrefix(s, word)) {
			best = word
		}
	}
	return best
}
