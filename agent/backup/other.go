//go:build !linux

package backup

import "context"

// CopyAhead answers ErrUnsupported on this system.
func CopyAhead(context.Context, string, []Tree, Progress) error { return ErrUnsupported }

// Finish answers ErrUnsupported on this system.
func Finish(context.Context, string, []Tree, Info, Progress) (*Snapshot, error) {
	return nil, ErrUnsupported
}

// Verify answers ErrUnsupported on this system.
func Verify(context.Context, string) error { return ErrUnsupported }

// ProveDump answers ErrUnsupported on this system.
func ProveDump(context.Context, string, Dump) (Dump, error) { return Dump{}, ErrUnsupported }

// Restore answers ErrUnsupported on this system.
func Restore(context.Context, string, []Tree, Progress) error { return ErrUnsupported }

// Size answers ErrUnsupported on this system.
func Size([]Tree) (int64, error) { return 0, ErrUnsupported }

// Largest is not supported here.
func Largest(Tree) (int64, error) { return 0, ErrUnsupported }
