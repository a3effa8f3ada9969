package self

import (
	"errors"

	"github.com/minio/selfupdate"
	"github.com/opencontainers/go-digest"
)

// replace puts the candidate in place in two steps: a program that runs can be renamed here, and not be written over.
// Fails with ErrReplaced when another one than from is there.
func (a *Agent) replace(from digest.Digest) error {
	if have, _, err := digestOf(a.o.Program); err != nil {
		return err
	} else if have != from {
		return ErrReplaced
	}
	return selfupdate.CommitBinary(selfupdate.Options{TargetPath: a.o.Program, OldSavePath: oldOf(a.o.Program)})
}

// Exec can't execute another program in this process here: the agent ends, and its service starts it again.
func (a *Agent) Exec() error {
	return errors.New("the agent ends to be started again with another program")
}
