package installer

import "errors"

func onDesktop(string, string) error { return errors.ErrUnsupported }
