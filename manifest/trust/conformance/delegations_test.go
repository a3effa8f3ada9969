package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// edges is a graph: "A>B A>C!" delegates from A to B and then, terminating, to C; "A>B:*.py" delegates some names only.
func (r *repository) edges(graph string) {
	r.t.Helper()
	made := map[string]bool{}
	var roles []string
	for _, edge := range strings.Fields(graph) {
		edge, pattern, ok := strings.Cut(edge, ":")
		if !ok {
			pattern = "*"
		}
		edge, terminating := strings.CutSuffix(edge, "!")
		from, to, _ := strings.Cut(edge, ">")
		if from == "T" {
			from = "targets"
		}
		if !made[to] {
			made[to] = true
			roles = append(roles, to)
		}
		r.delegate(from, to, object{"paths": strings.Split(pattern, "|"), "terminating": terminating})
	}
	r.publishLists(roles...)
}

func TestOrderOfSearch(t *testing.T) {
	t.Parallel()
	for graph, want := range map[string]string{
		"T>A":                     "A",
		"T>A T>B":                 "A B",
		"T>A T>B B>C":             "A B C",
		"T>A T>B A>C A>D":         "A C D B",
		"T>A T>B A>C C>D":         "A C D B",
		"T>A T>B A>C! A>D":        "A C",
		"T>A T>B A>C! C>D":        "A C D",
		"T>A! T>B A>C":            "A C",
		"T>A:*.py T>B A>C":        "B",
		"T>A:*.py! T>B":           "B",
		"T>A T>B A>C:*.py C>D":    "A B",
		"T>A T>B B>C C>D D>B":     "A B C D",
		"T>A A>A":                 "A",
		"T>A T>B B>C A>C":         "A C B",
		"T>A T>B B>C A>C:*.py":    "A B C",
		"T>A T>B A>C B>D C>E D>E": "A C E B D",
	} {
		t.Run(graph, func(t *testing.T) {
			t.Parallel()
			r := newRepository(t)
			c := newClient(t, r)
			r.edges(graph)
			if c.download("missing") == 0 {
				t.Error("found")
			}
			order := "root 2,timestamp -,snapshot 2,targets 2"
			for _, role := range strings.Fields(want) {
				order += "," + role + " 1"
			}
			c.asked(strings.Split(order, ",")...)
			// Once they are here, nothing is asked for again.
			_ = c.download("missing")
			c.asked("root 2", "timestamp -")
		})
	}
}

func TestFindInDelegations(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	r.add("targets", "file", []byte("by targets"))
	r.edges("T>A:*.doc|*.md T>B:releases/*/* B>C:releases/x/* B>D:releases/y/*.zip T>E:old/[ab]?/\\*|[!z]9")
	for role, names := range map[string][]string{
		"A": {"README.md", "dir/README.md"}, "C": {"releases/x/x_v1"}, "D": {"releases/y/y_v1.zip", "releases/z/z_v1.zip"},
		"E": {`old/a1/\b`, "z9", "y9"},
	} {
		for _, name := range names {
			r.add(role, name, []byte(name+" by "+role))
		}
	}
	r.publishLists("A", "B", "C", "D", "E")
	for name, want := range map[string]string{
		"file": "", "README.md": "A 2", "releases/x/x_v1": "B 2,C 2", "releases/y/y_v1.zip": "B 2,D 2",
		"releases/z/z_v1.zip": "B 2 not", "dir/README.md": " not", `old/a1/\b`: "E 2", "z9": " not", "y9": "E 2",
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, r)
			c.requests()
			want, not := strings.CutSuffix(want, " not")
			if found := c.download(name) == 0; found == not {
				t.Errorf("found: %v, %s", found, c.said)
			}
			order := "root 2,timestamp -,snapshot 3,targets 3"
			if want != "" {
				order += "," + want
			}
			c.asked(strings.Split(order, ",")...)
			if not {
				c.has()
			} else {
				c.has(string(r.files[name]))
			}
		})
	}
}

// What can't be verified ends the search, also where others would know the file.
func TestBrokenDelegation(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(r *repository){
		"unsigned":  func(r *repository) { r.keys["A"] = nil; r.publishLists("A") },
		"wrong key": func(r *repository) { r.keys["A"] = r.keys["B"]; r.publishLists("A") },
		"not there": func(r *repository) { delete(r.public, "A") },
		"not named": func(r *repository) {
			delete(r.signed["snapshot"]["meta"].(object), "A.json")
			r.rotate("snapshot")
			r.publishTop()
		},
		"another version": func(r *repository) { r.signed["A"]["version"] = 5; r.publishLists("A") },
		"another hash": func(r *repository) {
			r.hashes = true
			r.publishLists("A")
			r.public["A"][1] = append(r.public["A"][1], ' ')
		},
		"of another kind":   func(r *repository) { r.signed["A"]["_type"] = "snapshot"; r.publishLists("A") },
		"impossible number": func(r *repository) { r.signed["A"]["version"] = -3; r.publishLists("A") },
		"threshold of none": func(r *repository) { r.role("targets", "A")["threshold"] = 0; r.publishLists("A") },
		"two of two": func(r *repository) {
			r.name("targets", "A", newKey(r.t, "ecdsa"))
			r.role("targets", "A")["threshold"] = 2
			r.publishLists("A")
		},
		"no keys": func(r *repository) { r.role("targets", "A")["keyids"] = []string{}; r.publishLists("A") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRepository(t)
			r.edges("T>A T>B")
			r.add("B", "file", []byte("by B"))
			r.publishLists("B")
			change(r)
			c := newClient(t, r)
			if c.download("file") == 0 {
				t.Error("found")
			}
			c.has()
			if _, err := os.Stat(c.metadata + "/A.json"); err == nil {
				t.Error("A is trusted")
			}
		})
	}
}

// Two lists may mean different keys by one name: what one has verified is nothing for the other.
func TestRoleOfTwoDelegators(t *testing.T) {
	t.Parallel()
	for _, both := range []bool{true, false} { // whether B's key signs too
		for _, together := range []bool{true, false} { // whether one run looks for both files
			r := newRepository(t)
			r.edges("T>A:a/* T>B:b/* A>C:*/*")
			r.delegate("B", "C", object{"paths": []string{"*/*"}})
			if !both {
				r.keys["C"] = r.keys["C"][:1]
			}
			r.add("C", "a/file", []byte("for A"))
			r.add("C", "b/file", []byte("for B"))
			r.publishLists("A", "B", "C")
			c := newClient(t, r)
			found := false
			if together {
				found = c.download("a/file", "b/file") == 0
				if found {
					c.asked("root 2", "timestamp -", "snapshot 3", "targets 3", "A 2", "C 2", "B 2")
				}
			} else {
				if c.download("a/file") != 0 {
					t.Fatal(c.said)
				}
				found = c.download("b/file") == 0
			}
			if found != both {
				t.Errorf("together %v: B's file was found: %v; %s", together, found, c.said)
			}
			if both {
				c.has("for A", "for B")
			} else {
				c.has("for A")
			}
		}
	}
}

func TestHashBins(t *testing.T) {
	t.Parallel()
	name := "some/where/file"
	digits := digest("sha256", []byte(name))
	for prefixes, found := range map[string]bool{digits[:1]: true, "zz " + digits[:8]: true, digits: true, "zz": false, digits[1:]: digits[0] == digits[1]} {
		r := newRepository(t)
		r.delegate("targets", "bin", object{"path_hash_prefixes": strings.Fields(prefixes)})
		r.add("bin", name, []byte("content"))
		r.publishLists("bin")
		c := newClient(t, r)
		if got := c.download(name) == 0; got != found {
			t.Errorf("%.20s: found %v, %s", prefixes, got, c.said)
		}
	}
}

func TestSuccinctBins(t *testing.T) {
	t.Parallel()
	for _, b := range []struct {
		bits      int
		name, bin string
	}{
		{1, "boo", "bin-0"},
		{1, "too", "bin-1"},
		{2, "foo", "bin-0"},
		{2, "doo", "bin-1"},
		{2, "too", "bin-2"},
		{2, "bar", "bin-3"},
		{8, "bar", "bin-fc"},
		{32, "bar", "bin-fcde2b2e"},
		{16, "bar", "bin-fcde"},
		{5, "bar", "bin-1f"},
	} {
		t.Run(fmt.Sprint(b.bits, b.name), func(t *testing.T) {
			t.Parallel()
			r := newRepository(t)
			k := newKey(t, "ecdsa")
			r.signed["targets"]["delegations"] = object{
				"keys":           object{k.id: k.public},
				"succinct_roles": object{"keyids": []string{k.id}, "threshold": 1, "bit_length": b.bits, "name_prefix": "bin"},
			}
			r.signed[b.bin], r.keys[b.bin] = list(), []key{k}
			r.add(b.bin, b.name, []byte("content"))
			r.publishLists(b.bin)
			c := newClient(t, r)
			if c.download(b.name) != 0 {
				t.Error(c.said)
			}
			c.asked("root 2", "timestamp -", "snapshot 2", "targets 2", b.bin+" 1")
			c.has("content")
		})
	}
}

func TestImpossibleDelegations(t *testing.T) {
	t.Parallel()
	role := func(name string) object {
		return object{"name": name, "keyids": []string{"x"}, "threshold": 1, "terminating": false, "paths": []string{"*"}}
	}
	bins := func(bits int) object {
		return object{"keyids": []string{"x"}, "threshold": 1, "bit_length": bits, "name_prefix": "bin"}
	}
	for name, d := range map[string]object{
		"no name":        {"keys": object{}, "roles": []object{role("")}},
		"role of top":    {"keys": object{}, "roles": []object{role("a"), role("root")}},
		"targets":        {"keys": object{}, "roles": []object{role("targets")}},
		"one name twice": {"keys": object{}, "roles": []object{role("a"), role("a")}},
		"no bins":        {"keys": object{}, "succinct_roles": bins(0)},
		"too many bins":  {"keys": object{}, "succinct_roles": bins(33)},
		"fewer than 0":   {"keys": object{}, "succinct_roles": bins(-1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRepository(t)
			r.signed["targets"]["delegations"] = d
			r.publishLists()
			c := newClient(t, r)
			c.refused("damaged")
			c.trusts("root 1, snapshot 2, timestamp 2")
		})
	}
}

// A search asks 32 roles at most.
func TestLongChain(t *testing.T) {
	t.Parallel()
	for length, found := range map[int]bool{32: true, 33: false} {
		r := newRepository(t)
		graph := "T>1"
		for i := 1; i < length; i++ {
			graph += fmt.Sprintf(" %d>%d", i, i+1)
		}
		r.edges(graph)
		last := fmt.Sprint(length)
		r.add(last, "file", []byte("deep"))
		r.publishLists(last)
		c := newClient(t, r)
		if got := c.download("file") == 0; got != found {
			t.Errorf("%d: found %v, %s", length, got, c.said)
		}
	}
}

// Names of roles become names of files and parts of addresses.
func TestNamesOfRoles(t *testing.T) {
	t.Parallel()
	for name, quoted := range map[string]string{
		"?": "%3F", "#": "%23", "/role": "%2Frole", "../role": "..%2Frole", "..": "..", ".": ".", "a b": "a%20b", "ä": "%C3%A4",
		"100%": "100%25", "%2F": "%252F", "1.root": "1.root", "a.b~c_d-e": "a.b~c_d-e", `\`: "%5C", "Root": "Root", "a:b&c=d+e@f$g,h;i": "a%3Ab%26c%3Dd%2Be%40f%24g%2Ch%3Bi",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRepository(t)
			r.delegate("targets", name, object{"paths": []string{"*"}})
			r.add(name, "file", []byte("content"))
			r.publishLists(name)
			c := newClient(t, r)
			if c.download("file") != 0 {
				t.Error(c.said)
			}
			c.asked("root 2", "timestamp -", "snapshot 2", "targets 2", quoted+" 1")
			if entries, err := os.ReadDir(c.metadata); err != nil || len(entries) != 5 {
				t.Errorf("%v, %v", entries, err)
			}
			if string(c.disk(quoted)) != string(r.newest(name)) {
				t.Error("it is not kept as it came")
			}
			_ = c.download("none")
			c.asked("root 2", "timestamp -")
		})
	}
}
