//go:build !linux

// Package treetest makes random folders on Linux only.
package treetest
