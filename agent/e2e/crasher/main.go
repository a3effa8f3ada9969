// Command crasher is an agent that crashes as soon as it runs as one; it says its version like a good one.
package main

import (
	"fmt"
	"os"
)

var version string

func main() {
	if len(os.Args) > 1 && os.Args[1] == "version" {
		fmt.Printf("{\"version\": %q}\n", version)
		return
	}
	panic("no such table: changes")
}
