package durable

// SyncDir does nothing: Windows has no way to sync a folder, and orders its changes itself (NTFS journal).
func SyncDir(string) error { return nil }
