package sign

// KeyNames returns the names of all keys that a root of this fleet has ever named, by their ID in signed documents.
func (r *Repository) KeyNames() (map[string]string, error) {
	s := &signed{files: map[string][]byte{}}
	if err := r.roots(s); err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, data := range s.files {
		root, err := parseRoot(data)
		if err != nil {
			return nil, err
		}
		for _, k := range rootKeys(root) {
			all[k.ID] = k.Name
		}
	}
	return all, nil
}
