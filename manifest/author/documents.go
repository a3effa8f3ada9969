package author

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// maxDocument is the size in bytes up to which a compose file is read.
const maxDocument = 8 << 20

// maxNodes is how many values a compose file may have when its aliases are written out.
const maxNodes = 50_000

// document is one compose file as it was written.
type document struct {
	path  string // relative to the project folder, with slashes
	data  []byte
	base  string       // folder to which the names in it are relative, in the project folder
	roots []*yaml.Node // a file may hold several documents
}

// documents are all compose files of a project: those given with -f first, then what they include and extend.
type documents struct {
	dir   string // absolute path of the project folder
	root  *os.Root
	all   []*document
	given int // how many of all were given with -f
}

// readDocuments reads files and whatever they include or extend. The project folder is that of the first file.
func readDocuments(files []string, values map[string]string) (*documents, error) {
	if len(files) == 0 {
		return nil, problem("", "name it with -f compose.yaml", "no compose file is given")
	}
	first, err := filepath.Abs(files[0])
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", files[0], err)
	}
	d := &documents{dir: filepath.Dir(first)}
	if d.root, err = os.OpenRoot(d.dir); err != nil {
		return nil, problem("", "", "cannot open the folder of %s: %w", files[0], err)
	}
	for _, file := range files {
		abs, err := filepath.Abs(file)
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", file, err)
		}
		rel, err := d.local("", abs)
		if err != nil {
			return nil, err
		}
		if err := d.read("", rel, "."); err != nil {
			return nil, err
		}
	}
	d.given = len(d.all)
	for i := 0; i < len(d.all); i++ { // d.all grows while its files name others
		if err := d.follow(d.all[i], values); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *documents) close() { _ = d.root.Close() }

// local turns a path, absolute or relative to the project folder, into one of the release's folder.
func (d *documents) local(where, file string) (string, error) {
	rel := file
	if filepath.IsAbs(file) {
		var err error
		if rel, err = filepath.Rel(d.dir, file); err != nil {
			rel = ".." // another drive
		}
	}
	rel = filepath.ToSlash(filepath.Clean(rel))
	if !filepath.IsLocal(filepath.FromSlash(rel)) {
		return "", problem(where, "move it there, or run with the first -f in a folder above both",
			"%s lies outside %s, the folder of the first compose file", file, d.dir)
	}
	return rel, nil
}

func (d *documents) read(where, rel, base string) error {
	if slices.ContainsFunc(d.all, func(have *document) bool { return have.path == rel }) {
		return nil
	}
	data, err := d.contents(where, rel)
	if err != nil {
		return err
	}
	doc := &document{path: rel, data: data, base: base}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var node yaml.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return problem("", "", "%s is not a compose file: %w", rel, err)
		}
		if size := expanded(&node, map[*yaml.Node]int{}); size > maxNodes {
			return problem("", "", "%s is not a compose file: its aliases (*name) stand for themselves or for more than %d values", rel, maxNodes)
		}
		doc.roots = append(doc.roots, node.Content...)
	}
	d.all = append(d.all, doc)
	return nil
}

func (d *documents) contents(where, rel string) ([]byte, error) {
	f, err := d.root.Open(filepath.FromSlash(rel))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, problem(where, "", "there is no file %s", filepath.Join(d.dir, filepath.FromSlash(rel)))
	}
	if err != nil {
		return nil, problem(where, "", "cannot read %s: %w", rel, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	if err != nil {
		return nil, problem(where, "", "cannot read %s: %w", rel, err)
	}
	if len(data) > maxDocument {
		return nil, problem(where, "", "%s is larger than %d MiB", rel, maxDocument>>20)
	}
	return data, nil
}

// expanded counts the values below node with aliases written out, up to a little more than maxNodes. The compose library does not
// come back from a mapping that is merged into itself, nor from aliases of aliases of aliases.
func expanded(node *yaml.Node, seen map[*yaml.Node]int) int {
	if node.Kind == yaml.AliasNode {
		return expanded(node.Alias, seen)
	}
	size, known := seen[node]
	if known {
		return size
	}
	seen[node] = maxNodes + 1 // until it is counted: an alias to it from below is a circle
	size = 1
	for _, child := range node.Content {
		size = min(size+expanded(child, seen), maxNodes+1)
	}
	seen[node] = size
	return size
}

// follow reads what doc includes or extends.
func (d *documents) follow(doc *document, values map[string]string) error {
	name := func(node *yaml.Node) (string, error) {
		where := doc.at(node)
		file, err := expand(node.Value, values)
		if err != nil || len(names(node.Value)) > 0 && file == "" {
			return "", problem(where, "write the name itself", "the name of the file depends on a variable: %s", node.Value)
		}
		if strings.Contains(file, "://") || strings.HasPrefix(file, "git@") {
			return "", problem(where, "keep a copy in the folder and name that", "%s is on another computer", file)
		}
		if filepath.IsAbs(file) {
			return "", problem(where, "name it relative to the compose file", "%s is an absolute path", file)
		}
		return file, nil
	}
	for _, root := range doc.roots {
		for _, include := range sequence(field(root, "include")) {
			if err := d.include(doc, include, name); err != nil {
				return err
			}
		}
		var failed error
		mappings(root, func(m *yaml.Node) {
			node := field(field(m, "extends"), "file")
			if node == nil || node.Kind != yaml.ScalarNode || failed != nil {
				return
			}
			file, err := name(node)
			if err == nil {
				var rel string
				if rel, err = d.local(doc.at(node), path.Join(doc.base, file)); err == nil {
					err = d.read(doc.at(node), rel, path.Dir(rel))
				}
			}
			failed = err
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}

func (d *documents) include(doc *document, node *yaml.Node, name func(*yaml.Node) (string, error)) error {
	where := doc.at(node)
	paths := []*yaml.Node{node}
	if node.Kind == yaml.MappingNode {
		for _, key := range []string{"env_file", "project_directory"} {
			if unwanted := field(node, key); unwanted != nil {
				return problem(doc.at(unwanted), "put the file in the same folder and give values with --env-file",
					"include with %s is not supported", key)
			}
		}
		if p := field(node, "path"); p != nil && p.Kind == yaml.SequenceNode {
			paths = p.Content
		} else if p != nil {
			paths = []*yaml.Node{p}
		}
	}
	for _, p := range paths {
		file, err := name(p)
		if err != nil {
			return err
		}
		rel, err := d.local(where, path.Join(doc.base, file))
		if err != nil {
			return err
		}
		// Compose reads this file by itself and no option stops it. It would change what the release means, unseen.
		beside := path.Join(path.Dir(rel), ".env")
		if _, err := d.root.Stat(filepath.FromSlash(beside)); err == nil {
			return problem(where, "move it away while the release is made, and name it with --env-file if its values belong to the release",
				"the file %s stands beside the included %s and compose would read it", beside, rel)
		}
		if err := d.read(where, rel, path.Dir(rel)); err != nil {
			return err
		}
	}
	return nil
}

// at is the position of node for people: file:line.
func (d *document) at(node *yaml.Node) string { return fmt.Sprintf("%s:%d", d.path, node.Line) }

// service is the position of a service, or of one of its keys when that stands with it; "" when no file has it.
func (d *documents) service(name string, keys ...string) string {
	for i := len(d.all) - 1; i >= 0; i-- {
		for _, root := range d.all[i].roots {
			key, value := pair(field(root, "services"), name)
			if key == nil {
				continue
			}
			for _, k := range keys {
				if node, _ := pair(value, k); node != nil {
					return d.all[i].at(node)
				}
			}
			if len(keys) == 0 || !d.elsewhere(i, name, keys) {
				return d.all[i].at(key)
			}
		}
	}
	return ""
}

// elsewhere reports whether a file before number i has one of the keys of a service.
func (d *documents) elsewhere(i int, name string, keys []string) bool {
	for _, doc := range d.all[:i] {
		for _, root := range doc.roots {
			for _, k := range keys {
				if field(field(field(root, "services"), name), k) != nil {
					return true
				}
			}
		}
	}
	return false
}

// pair finds a key of a mapping; aliases are followed.
func pair(node *yaml.Node, name string) (key, value *yaml.Node) {
	node = resolve(node)
	if node == nil || node.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == name {
			return node.Content[i], resolve(node.Content[i+1])
		}
	}
	return nil, nil
}

func field(node *yaml.Node, name string) *yaml.Node {
	_, value := pair(node, name)
	return value
}

func resolve(node *yaml.Node) *yaml.Node {
	if node != nil && node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

func sequence(node *yaml.Node) []*yaml.Node {
	if node == nil || node.Kind != yaml.SequenceNode {
		return nil
	}
	return node.Content
}

// mappings calls visit for every mapping below node, each once.
func mappings(node *yaml.Node, visit func(*yaml.Node)) {
	if node.Kind == yaml.MappingNode {
		visit(node)
	}
	for _, child := range node.Content {
		mappings(child, visit)
	}
}
