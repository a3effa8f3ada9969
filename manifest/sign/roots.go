package sign

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Roots returns every root document, the first one first: all travel with each manifest, so that a site finds its way from any of them.
func (r *Repository) Roots() ([][]byte, error) {
	var roots [][]byte
	for n := 1; ; n++ {
		data, err := os.ReadFile(r.path(fmt.Sprintf("metadata/%d.root.json", n)))
		if errors.Is(err, fs.ErrNotExist) && n > 1 {
			return roots, nil
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read the root: %w", err)
		}
		roots = append(roots, data)
	}
}
