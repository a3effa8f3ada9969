//go:build !linux

package archive

import "os"

func forget(*os.File) {}

func writeSoon(*os.File, int64, int64) {}
