package durable

import "os"

// SyncDir does nothing: Windows has no way to sync a folder, and orders its changes itself (NTFS journal).
func SyncDir(string) error { return nil }

// SyncDirIn does nothing, as SyncDir.
func SyncDirIn(*os.Root, string) error { return nil }
