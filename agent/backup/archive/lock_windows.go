package archive

import "os"

// lock keeps nobody out on this system: trees cannot be backed up here, only read.
func lock(path string, _ bool) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}
