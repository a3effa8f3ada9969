package main

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// object is a JSON object. The repository signs plain JSON, so that nothing of the library that the client uses has made what it reads.
type object = map[string]any

// repository publishes what a test wants, also what no sane repository would, on a web server.
type repository struct {
	t      *testing.T
	url    string
	signed map[string]object   // signed part by role, as the next publish takes it
	keys   map[string][]key    // that sign each role
	public map[string][][]byte // published documents by role, from version 1
	files  map[string][]byte   // by name
	hashes bool                // name documents with length and hashes
	plain  bool                // files stand without their digest in front

	mu      sync.Mutex
	asked   []string // documents as "ROLE VERSION", in their order
	fetched []string // files
}

func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// later is a moment in n days.
func later(n int) time.Time { return time.Now().AddDate(0, 0, n) }

func newRepository(t *testing.T) *repository {
	r := &repository{
		t: t, signed: map[string]object{}, keys: map[string][]key{}, public: map[string][][]byte{}, files: map[string][]byte{},
	}
	r.signed["targets"] = list()
	r.signed["snapshot"] = document("snapshot", object{"meta": object{}})
	r.signed["timestamp"] = document("timestamp", object{"meta": object{}})
	r.signed["root"] = document("root", object{"consistent_snapshot": true, "keys": object{}, "roles": object{}})
	for _, role := range []string{"root", "timestamp", "snapshot", "targets"} {
		r.signed["root"]["roles"].(object)[role] = object{"keyids": []string{}, "threshold": 1}
		r.addKey("root", role, newKey(t, "ecdsa"))
	}
	r.publish("targets", "snapshot", "timestamp", "root")
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func document(kind string, fields object) object {
	fields["_type"], fields["spec_version"], fields["version"], fields["expires"] = kind, "1.0.31", 1, stamp(later(30))
	return fields
}

func list() object { return document("targets", object{"targets": object{}}) }

// role returns what delegator ("root" or a list) says about a role: its key ids and threshold may be changed.
func (r *repository) role(delegator, name string) object {
	r.t.Helper()
	if delegator == "root" {
		return r.signed["root"]["roles"].(object)[name].(object)
	}
	for _, role := range r.signed[delegator]["delegations"].(object)["roles"].([]object) {
		if role["name"] == name {
			return role
		}
	}
	r.t.Fatalf("%s does not delegate to %s", delegator, name)
	return nil
}

// name lets delegator name a key for the role, without letting it sign.
func (r *repository) name(delegator, role string, k key) {
	keys := r.signed[delegator]["keys"]
	if delegator != "root" {
		keys = r.signed[delegator]["delegations"].(object)["keys"]
	}
	keys.(object)[k.id] = k.public
	entry := r.role(delegator, role)
	entry["keyids"] = append(entry["keyids"].([]string), k.id)
}

// addKey lets delegator name a key for the role, and the key sign for it.
func (r *repository) addKey(delegator, role string, k key) {
	r.name(delegator, role, k)
	r.keys[role] = append(r.keys[role], k)
}

// setKeys replaces the keys that the root names for the role and those that sign it.
func (r *repository) setKeys(role string, threshold int, named, signing []key) {
	r.role("root", role)["keyids"], r.role("root", role)["threshold"] = []string{}, threshold
	for _, k := range named {
		r.name("root", role, k)
	}
	r.keys[role] = signing
}

// rotate gives a role of the root one new key in place of all others.
func (r *repository) rotate(role string) {
	k := newKey(r.t, "ecdsa")
	r.setKeys(role, 1, []key{k}, []key{k})
}

// delegate lets a list hand names on to a role, with a key of its own. fields say which names.
func (r *repository) delegate(delegator, name string, fields object) {
	d, ok := r.signed[delegator]["delegations"].(object)
	if !ok {
		d = object{"keys": object{}, "roles": []object{}}
		r.signed[delegator]["delegations"] = d
	}
	role := object{"name": name, "keyids": []string{}, "threshold": 1, "terminating": false}
	for k, v := range fields {
		role[k] = v
	}
	d["roles"] = append(d["roles"].([]object), role)
	if r.signed[name] == nil {
		r.signed[name] = list()
	}
	r.addKey(delegator, name, newKey(r.t, "ecdsa"))
}

// add puts a file into the list of a role.
func (r *repository) add(role, name string, data []byte, kinds ...string) {
	if len(kinds) == 0 {
		kinds = []string{"sha256"}
	}
	hashes := object{}
	for _, kind := range kinds {
		hashes[kind] = digest(kind, data)
	}
	r.signed[role]["targets"].(object)[name] = object{"length": len(data), "hashes": hashes}
	r.files[name] = data
}

func digest(kind string, data []byte) string {
	if kind == "sha512" {
		sum := sha512.Sum512(data)
		return hex.EncodeToString(sum[:])
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// publish signs the roles, each with its next version, and names them where they must be named.
func (r *repository) publish(roles ...string) {
	r.t.Helper()
	for _, role := range roles {
		signed := r.signed[role]
		if len(r.public[role]) > 0 {
			signed["version"] = signed["version"].(int) + 1
		}
		data := r.seal(role)
		r.public[role] = append(r.public[role], data)
		meta := object{"version": signed["version"]}
		if r.hashes {
			meta["length"], meta["hashes"] = len(data), object{"sha256": digest("sha256", data)}
		}
		switch role {
		case "root", "timestamp":
		case "snapshot":
			r.signed["timestamp"]["meta"].(object)["snapshot.json"] = meta
		default:
			r.signed["snapshot"]["meta"].(object)[role+".json"] = meta
		}
	}
}

// publishTop publishes all four roles of the top.
func (r *repository) publishTop() { r.publish("root", "targets", "snapshot", "timestamp") }

// publishLists publishes the lists and what names them.
func (r *repository) publishLists(more ...string) {
	r.publish(append(more, "targets", "snapshot", "timestamp")...)
}

func (r *repository) seal(role string) []byte {
	payload := canonical(r.t, r.signed[role])
	sigs := []object{}
	for _, k := range r.keys[role] {
		sigs = append(sigs, object{"keyid": k.id, "sig": hex.EncodeToString(k.sign(r.t, payload))})
	}
	data, err := json.MarshalIndent(object{"signed": r.signed[role], "signatures": sigs}, "", " ")
	if err != nil {
		r.t.Fatal(err)
	}
	return data
}

// again publishes a role from version 1, as if there had been none.
func (r *repository) again(role string) {
	delete(r.public, role)
	r.signed[role]["version"] = 1
}

// edit changes the newest document of a role without signing it again.
func (r *repository) edit(role string, change func(document object)) {
	all := r.public[role]
	var d object
	if err := json.Unmarshal(all[len(all)-1], &d); err != nil {
		r.t.Fatal(err)
	}
	change(d)
	data, err := json.Marshal(d)
	if err != nil {
		r.t.Fatal(err)
	}
	all[len(all)-1] = data
}

func (r *repository) newest(role string) []byte { return r.public[role][len(r.public[role])-1] }

func (r *repository) consistent() bool { return r.signed["root"]["consistent_snapshot"].(bool) }

func (r *repository) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	path := req.URL.EscapedPath()
	if name, ok := strings.CutPrefix(path, "/metadata/"); ok {
		r.serveDocument(w, strings.TrimSuffix(name, ".json"))
		return
	}
	name, err := url.PathUnescape(strings.TrimPrefix(path, "/targets/"))
	if err != nil {
		http.NotFound(w, req)
		return
	}
	r.fetched = append(r.fetched, name)
	if data, ok := r.file(name); ok {
		_, _ = w.Write(data)
		return
	}
	http.NotFound(w, req)
}

func (r *repository) serveDocument(w http.ResponseWriter, name string) {
	version, role, versioned := strings.Cut(name, ".")
	if role != "root" && (!r.consistent() || name == "timestamp") {
		version, role, versioned = "-", name, false
	}
	r.asked = append(r.asked, role+" "+version)
	role, err := url.PathUnescape(role)
	all := r.public[role]
	n := len(all)
	if versioned {
		n, _ = strconv.Atoi(version)
	}
	if err != nil || n < 1 || n > len(all) {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_, _ = w.Write(all[n-1])
}

// file finds a file by the name that it was asked for.
func (r *repository) file(name string) ([]byte, bool) {
	dir, base := "", name
	if i := strings.LastIndex(name, "/"); i >= 0 {
		dir, base = name[:i+1], name[i+1:]
	}
	if !r.consistent() || r.plain {
		data, ok := r.files[name]
		return data, ok
	}
	sum, base, _ := strings.Cut(base, ".")
	data, ok := r.files[dir+base]
	return data, ok && slices.Contains(r.sums(dir+base), sum)
}

// sums returns the digests that lists give the file.
func (r *repository) sums(name string) []string {
	var all []string
	for _, signed := range r.signed {
		if targets, ok := signed["targets"].(object); ok {
			if info, ok := targets[name].(object); ok {
				for _, sum := range info["hashes"].(object) {
					all = append(all, fmt.Sprint(sum))
				}
			}
		}
	}
	return all
}

// settle lets the server see what the test has changed, and the test what the server has seen. The two never work at once.
func (r *repository) settle() {
	r.mu.Lock()
	defer r.mu.Unlock()
}

// requests returns the documents that were asked for since the last call.
func (r *repository) requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.asked
	r.asked = nil
	return all
}
