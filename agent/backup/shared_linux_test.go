package backup

import "dhow/agent/backup/tree/treetest"

type (
	forest    = treetest.Forest
	countdown = treetest.Countdown
)

var (
	newForest = treetest.NewForest
	capture   = treetest.Capture
	equal     = treetest.Equal
	settled   = treetest.Settled
	must      = treetest.Must
)
