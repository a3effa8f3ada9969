package self

import (
	"errors"

	"github.com/minio/selfupdate"
)

// replace puts the candidate in place in two steps: a program that runs can be renamed here, and not be written over.
func (a *Agent) replace() error {
	return selfupdate.CommitBinary(selfupdate.Options{TargetPath: a.o.Program, OldSavePath: oldOf(a.o.Program)})
}

// Exec can't execute another program in this process here: the agent ends, and its service starts it again.
func (a *Agent) Exec() error {
	return errors.New("the agent ends to be started again with another program")
}
