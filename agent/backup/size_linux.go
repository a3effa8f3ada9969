package backup

import (
	"fmt"

	"dhow/agent/backup/tree"
)

// Size is what the trees take on disk, in bytes: the room that a snapshot of them needs, holes left out, hard-linked files
// counted once. Files that vanish meanwhile do not matter.
func Size(trees []Tree) (int64, error) {
	if err := checkTrees(trees); err != nil {
		return 0, err
	}
	var sum int64
	for _, t := range trees {
		n, err := tree.Size(t.Path)
		if err != nil {
			return 0, fmt.Errorf("cannot read volume %s: %w", t.Name, err)
		}
		sum += n
	}
	return sum, nil
}
