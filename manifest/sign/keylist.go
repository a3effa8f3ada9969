package sign

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// KeyList is what the newest root says of the fleet's keys, and which of them can be used here.
type KeyList struct {
	Root    int64     `json:"root"`
	Expires time.Time `json:"expires"`
	Roles   []KeyRole `json:"roles"`
	// Other are keys whose files are here, but that the root does not name: made and not added yet, or removed.
	Other  []ListedKey `json:"other"`
	Staged *NextRoot   `json:"staged,omitempty"` // a root that waits for signatures
	// Damaged says of files in the folder of keys why they can't be read.
	Damaged []string `json:"damaged,omitempty"`
}

// KeyRole is one role of a root.
type KeyRole struct {
	Role      string      `json:"role"`
	Threshold int         `json:"threshold"` // how many of the keys must sign
	Keys      []ListedKey `json:"keys"`
}

// ListedKey is a key and where its private half is.
type ListedKey struct {
	Key
	File  string `json:"file,omitempty"`  // its key file on this computer
	Token string `json:"token,omitempty"` // label of the token that holds it
}

// Keys lists the keys of the fleet.
func (r *Repository) Keys() (*KeyList, error) {
	s := &signed{files: map[string][]byte{}}
	if err := r.roots(s); err != nil {
		return nil, err
	}
	files, err := r.Keyring(nil).find()
	if err != nil {
		return nil, err
	}
	list := &KeyList{Root: s.root.Signed.Version, Expires: s.root.Signed.Expires, Other: []ListedKey{}}
	here := map[string]found{}
	for _, f := range files {
		if f.file == nil {
			list.Damaged = append(list.Damaged, f.err.Error())
			continue
		}
		here[f.file.key.ID] = f
	}
	listed := func(k Key) ListedKey {
		l := ListedKey{Key: k}
		if f, ok := here[k.ID]; ok {
			l.File = f.path
			if f.file.Token != nil {
				l.Token = f.file.Token.Label
			}
		}
		return l
	}
	named := map[string]bool{}
	for _, role := range roleOrder {
		of := KeyRole{Role: role, Threshold: threshold(s.root, role)}
		for _, k := range rootKeys(s.root) {
			if k.Role == role {
				named[k.ID] = true
				of.Keys = append(of.Keys, listed(k))
			}
		}
		list.Roles = append(list.Roles, of)
	}
	for _, f := range files {
		if f.file != nil && !named[f.file.key.ID] {
			list.Other = append(list.Other, listed(f.file.key))
		}
	}
	list.Staged, err = r.StagedRoot()
	return list, err
}

// NextName is the name for the successor of a key: release, release-2, release-3, and root-4 after three root keys. No name that the fleet
// has ever used comes again.
func (r *Repository) NextName(name string) (string, error) {
	s := &signed{files: map[string][]byte{}}
	if err := r.roots(s); err != nil {
		return "", err
	}
	base, _ := numbered(name)
	most := 1
	see := func(name string) {
		if b, n := numbered(name); b == base {
			most = max(most, n)
		}
	}
	for _, path := range names(s.files) {
		root, err := parseRoot(s.files[path])
		if err != nil {
			return "", err
		}
		for _, k := range rootKeys(root) {
			see(k.Name)
		}
	}
	if staged, err := r.stagedOn(s.root); err != nil {
		return "", err
	} else if staged != nil {
		for _, k := range rootKeys(staged) {
			see(k.Name)
		}
	}
	files, err := r.Keyring(nil).find()
	if err != nil {
		return "", err
	}
	for _, f := range files {
		see(strings.TrimSuffix(filepath.Base(f.path), ".json"))
	}
	return fmt.Sprintf("%s-%d", base, most+1), nil
}

// numbered parts a name from the number at its end.
func numbered(name string) (base string, n int) {
	if i := strings.LastIndexByte(name, '-'); i > 0 {
		if n, err := strconv.Atoi(name[i+1:]); err == nil && n > 0 && n < 1_000_000 {
			return name[:i], n
		}
	}
	return name, 1
}
