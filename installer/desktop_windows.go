package installer

import "errors"

func onDesktop(string, string) error { return errors.ErrUnsupported }

func offDesktop(string) error { return nil }

const nonBlocking = 0
