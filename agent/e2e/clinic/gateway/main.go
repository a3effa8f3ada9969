// Command gateway is the service of the test stacks that publishes a port: a reverse proxy whose configuration is a file,
// as nginx has one. The file /etc/gateway.conf holds "upstream HOST:PORT" and, optionally, "header NAME VALUE" lines.
// "gateway health" is the container's health check: it asks the gateway itself, not what stands behind it.
package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const (
	address = ":80"
	file    = "/etc/gateway.conf"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "health" {
		client := http.Client{Timeout: 2 * time.Second}
		resp, err := client.Get("http://127.0.0.1" + address + "/gateway-health")
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		_ = resp.Body.Close()
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	upstream, headers, err := configuration(file)
	if err != nil {
		return err
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: upstream})
	mux := http.NewServeMux()
	mux.HandleFunc("/gateway-health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "healthy") })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		for name, value := range headers {
			w.Header().Set(name, value)
		}
		proxy.ServeHTTP(w, r)
	})
	server := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	return server.Close()
}

func configuration(path string) (upstream string, headers map[string]string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	headers = map[string]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		switch words := strings.Fields(lines.Text()); {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
		case len(words) == 2 && words[0] == "upstream":
			upstream = words[1]
		case len(words) == 3 && words[0] == "header":
			headers[words[1]] = words[2]
		default:
			return "", nil, fmt.Errorf("%s: cannot read the line %q", path, lines.Text())
		}
	}
	if upstream == "" && lines.Err() == nil {
		return "", nil, fmt.Errorf("%s: no upstream", path)
	}
	return upstream, headers, lines.Err()
}
