package main

import (
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// fakeEngine answers like a Docker Engine with one running container.
func fakeEngine(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("unix", strings.TrimPrefix(ts.Getenv("ENGINE"), "unix://"))
	ts.Check(err)
	labels := map[string]string{}
	if len(args) > 0 {
		dir := ts.MkAbs(args[1])
		var files []string
		for _, f := range args[2:] {
			files = append(files, dir+"/"+f)
		}
		labels = map[string]string{
			"com.docker.compose.project": args[0], "com.docker.compose.service": "db", "com.docker.compose.oneoff": "False",
			"com.docker.compose.project.working_dir": dir, "com.docker.compose.project.config_files": strings.Join(files, ","),
		}
	}
	answers := map[string]any{
		"/version": map[string]any{"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12", "Os": "linux", "Arch": "amd64"},
		"/info":    map[string]any{"OperatingSystem": "Debian GNU/Linux 12 (bookworm)", "Architecture": "x86_64", "DockerRootDir": "/d", "Driver": "overlay2"},
		"/containers/abc/json": map[string]any{
			"Id": "abc", "Name": "/emr-db-1", "Image": "sha256:" + strings.Repeat("0", 64), "State": map[string]any{"Status": "running"}, "HostConfig": map[string]any{},
			"Config": map[string]any{"Labels": labels}, "NetworkSettings": map[string]any{},
		},
	}
	srv := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		w.Header().Set("Ostype", "linux")
		w.Header().Set("Content-Type", "application/json")
		path := strings.TrimPrefix(r.URL.Path, "/v1.41")
		answer, ok := answers[path]
		switch {
		case path == "/_ping":
			return
		case path == "/containers/json":
			list := []any{}
			if len(args) > 0 && strings.Contains(r.URL.RawQuery, "project%3D"+args[0]+"%22") {
				list = append(list, map[string]any{"Id": "abc", "Labels": labels})
			}
			answer = list
		case !ok:
			w.WriteHeader(http.StatusNotFound)
			answer = map[string]string{"message": "no such thing"}
		}
		_ = json.NewEncoder(w).Encode(answer)
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	ts.Defer(func() { _ = srv.Close(); <-done })
}
