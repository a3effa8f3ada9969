// Command ledger is the service of the test stack "ledger": entries in files under /data, one file each.
//
// Releases differ by the version that is baked in at build time: 1.0.0 writes its entries; 1.1.0 rewrites every file when it
// first starts; 1.2.0 rewrites every file, removes some, and then never gets healthy. Each version refuses files that a newer
// one has rewritten, so a stack whose release and data do not match does not get healthy. It starts in a few milliseconds.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

var version = "1.0.0"

const (
	address = ":8080"
	data    = "/data"
	entries = 40 // made by the first start
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "health" {
		client := http.Client{Timeout: time.Second}
		resp, err := client.Get("http://127.0.0.1" + address + "/health")
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		fmt.Print(string(text))
		if resp.StatusCode != http.StatusOK {
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	if err := migrate(); err != nil {
		return err
	}
	server := &http.Server{Addr: address, Handler: routes(), ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	return server.Close()
}

// migrate makes or rewrites the files. FORMAT, written last, holds the version that the files are of.
func migrate() error {
	mark := filepath.Join(data, "FORMAT")
	before, err := os.ReadFile(mark)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	found := strings.TrimSpace(string(before))
	switch {
	case found > version:
		return fmt.Errorf("the files are of version %s, newer than %s", found, version)
	case found == version:
		return nil
	case found == "":
		for i := range entries {
			if err := write(fmt.Sprintf("%03d", i), fmt.Sprintf("entry %d %s", i, strings.Repeat("paid ", i))); err != nil {
				return err
			}
		}
	}
	err = each(func(name string, text []byte) error {
		switch {
		case version == "1.2.0" && strings.HasSuffix(name, "7.entry"):
			return os.Remove(filepath.Join(data, name))
		case version != "1.0.0":
			return os.WriteFile(filepath.Join(data, name), fmt.Appendf(nil, "%s of %s", text, version), 0o640)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return os.WriteFile(mark, []byte(version+"\n"), 0o640)
}

func write(name, text string) error {
	return os.WriteFile(filepath.Join(data, name+".entry"), []byte(text), 0o640)
}

// each visits all entries, in order of their names.
func each(visit func(name string, text []byte) error) error {
	list, err := filepath.Glob(filepath.Join(data, "*.entry"))
	if err != nil {
		return err
	}
	for _, path := range list {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := visit(filepath.Base(path), text); err != nil {
			return err
		}
	}
	return nil
}

func routes() http.Handler {
	var one sync.Mutex
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		if version == "1.2.0" {
			http.Error(w, "the ledger does not balance", http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, "healthy")
	})
	mux.HandleFunc("GET /release", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, version) })
	mux.HandleFunc("POST /entries", func(w http.ResponseWriter, r *http.Request) {
		one.Lock()
		defer one.Unlock()
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<16))
		if err == nil {
			err = write(fmt.Sprintf("n%d", time.Now().UnixNano()), string(text))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("GET /checksum", func(w http.ResponseWriter, _ *http.Request) {
		sums := map[string]string{}
		err := each(func(name string, text []byte) error {
			sums["file "+name] = fmt.Sprintf("%x", sha256.Sum256(text))
			return nil
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(sums)
	})
	return mux
}
