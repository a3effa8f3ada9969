package sign

import "time"

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
