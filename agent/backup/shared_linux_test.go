package backup

import (
	"testing"

	"dhow/agent/backup/tree/treetest"
)

// byBlocks lets files of any size be copied by blocks.
func byBlocks(t *testing.T) {
	t.Helper()
	old := bigFile
	t.Cleanup(func() { bigFile = old })
	bigFile = 1
}

type forest = treetest.Forest

var (
	newForest = treetest.NewForest
	capture   = treetest.Capture
	equal     = treetest.Equal
	settled   = treetest.Settled
	must      = treetest.Must
)
