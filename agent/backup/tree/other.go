//go:build !linux

package tree

import (
	"context"
	"os"
	"time"
)

// Root is of no use on this system.
type Root struct{}

// OpenRoot answers ErrUnsupported on this system.
func OpenRoot(string) (*Root, error) { return nil, ErrUnsupported }

// Close does nothing.
func (*Root) Close() {}

// Path is empty.
func (*Root) Path() string { return "" }

// Forget does nothing.
func (*Root) Forget() {}

// Open answers ErrUnsupported.
func (*Root) Open(Name) (*os.File, error) { return nil, ErrUnsupported }

// Create answers ErrUnsupported.
func (*Root) Create(Name) (*os.File, error) { return nil, ErrUnsupported }

// Change answers ErrUnsupported.
func (*Root) Change(Name) (*os.File, error) { return nil, ErrUnsupported }

// Remove answers ErrUnsupported.
func (*Root) Remove(Name) error { return ErrUnsupported }

// Stat answers ErrUnsupported.
func (*Root) Stat(Name) (*Entry, int, error) { return nil, 0, ErrUnsupported }

// Look answers ErrUnsupported.
func Look(*os.File) (*Entry, error) { return nil, ErrUnsupported }

// Apply answers ErrUnsupported.
func (*Root) Apply(*Entry, bool) error { return ErrUnsupported }

// Flush answers ErrUnsupported.
func (*Root) Flush() error { return ErrUnsupported }

// Scan answers ErrUnsupported on this system.
func Scan(context.Context, *Root, bool, time.Time) ([]*Entry, error) { return nil, ErrUnsupported }

// Mirror is of no use on this system.
type Mirror struct {
	To          *Root
	Strict      bool
	Pruned      func() error
	Keep, Fetch func(*Entry) (bool, error)
	After       func(*Entry) error
}

// Run answers ErrUnsupported on this system.
func (*Mirror) Run(context.Context, []*Entry) ([]*Entry, error) { return nil, ErrUnsupported }

// Vanished is false on this system.
func Vanished(error) bool { return false }

// Fresh is true on this system: times prove nothing.
func Fresh(int64, time.Time) bool { return true }

// Segment says that all is data.
func Segment(_ *os.File, at, size int64) (data, hole int64) { return at, size }

// Size answers ErrUnsupported on this system.
func Size(string) (int64, error) { return 0, ErrUnsupported }

// Boot is not known on this system.
func Boot() string { return "" }
