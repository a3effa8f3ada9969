package installer

import (
	"errors"
	"os/exec"
)

func onDesktop(string, string) error { return errors.ErrUnsupported }

func offDesktop(string) error { return nil }

const nonBlocking = 0

// Opener is nil: nobody is shown a page here.
func Opener(string) *exec.Cmd { return nil }
