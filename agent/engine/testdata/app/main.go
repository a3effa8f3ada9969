// Command app is what the containers of the end-to-end tests run.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

func main() {
	args := append(os.Args[1:], "", "")
	switch args[0] {
	case "sleep":
		wait()
	case "ready": // ready FILE: writes FILE, on which the health check waits
		must(os.WriteFile(args[1], []byte("ready\n"), 0o644))
		wait()
	case "health": // health FILE
		if _, err := os.Stat(args[1]); err != nil {
			fmt.Println("not ready: no file", args[1])
			os.Exit(1)
		}
	case "serve": // serve ADDR
		go wait()
		must(http.ListenAndServe(args[1], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintln(w, "hello from", os.Getenv("NAME"))
		})))
	case "exit": // exit CODE WORDS
		fmt.Println(args[2])
		code, _ := strconv.Atoi(args[1])
		os.Exit(code)
	case "cat": // cat CODE: standard input to standard output
		_, err := io.Copy(os.Stdout, os.Stdin)
		must(err)
		fmt.Fprintln(os.Stderr, "end of input")
		code, _ := strconv.Atoi(args[1])
		os.Exit(code)
	case "empty": // empty FOLDER
		entries, err := os.ReadDir(args[1])
		must(err)
		for _, e := range entries {
			must(os.RemoveAll(args[1] + "/" + e.Name()))
		}
	case "print": // print FILE
		data, err := os.ReadFile(args[1])
		must(err)
		os.Stdout.Write(data)
	default:
		must(fmt.Errorf("what is %q?", args[0]))
	}
}

func wait() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM, syscall.SIGINT)
	<-c
	os.Exit(0)
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
