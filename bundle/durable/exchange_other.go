//go:build !linux

package durable

// exchange replaces path by tmp, and leaves at tmp what was at path.
func exchange(tmp, path string) error { return swapAside(tmp, path) }
