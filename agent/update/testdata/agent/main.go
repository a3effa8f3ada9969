// Command agent is a small program that the tests take for another version of the agent. What stands behind its last byte says its version, and how it
// does on trial: "crash" crashes, and any other is well until it is told to end.
package main

import (
	"bytes"
	"io"
	"os"
	"time"
)

func main() {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	words := bytes.Fields(data[bytes.LastIndex(data, []byte("\nthis program is"+" ")):])
	version, how := string(words[3]), string(words[4])
	switch {
	case len(os.Args) > 1 && os.Args[1] == "version":
		_, _ = os.Stdout.WriteString(`{"version": "` + version + `"}`)
		return
	case how == "crash":
		panic("no such table")
	}
	go func() {
		for range time.Tick(20 * time.Millisecond) {
			_, _ = os.Stdout.WriteString("well\n")
		}
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
}
