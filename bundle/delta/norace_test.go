//go:build !race

package delta

// slower is how many times longer the race detector lets everything take.
const slower = 1
