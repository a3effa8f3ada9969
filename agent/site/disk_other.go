//go:build !unix

package site

// SameDisk answers true: needs are then added up, which errs on the safe side.
func SameDisk(string, string) bool { return true }
