package site

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// ErrRemote means that an engine is on another computer: its volumes can't be read here.
var ErrRemote = errors.New("it is on another computer, and dhow has to read the volumes of its stack")

// Endpoint is the Docker Engine that a site uses. Address is never empty. From says who named it: the configuration, DOCKER_HOST, "context NAME",
// or nobody ("").
type Endpoint struct {
	Address string
	From    string
}

func (e Endpoint) String() string {
	if e.From == "" {
		return e.Address
	}
	return e.Address + " (" + e.From + ")"
}

// Who names an engine.
const (
	FromConfig = "configuration"
	FromHost   = "DOCKER_HOST"
)

// DefaultEngine is where an engine listens when nobody says anything.
func DefaultEngine() string {
	if runtime.GOOS == "windows" {
		return "npipe:////./pipe/docker_engine"
	}
	return "unix:///var/run/docker.sock"
}

// FindEngine names the engine as the docker command would: what the configuration says, else DOCKER_HOST, DOCKER_CONTEXT, the current context of
// the docker command, the usual address. Variables come from env; home is where that user's .docker is, "" for nobody's. An engine on another computer
// is ErrRemote.
//
// A context is kept by the docker command in contexts/meta/SHA-256 OF ITS NAME/meta.json beside its config.json, with the address at
// Endpoints.docker.Host.
func FindEngine(configured string, env func(string) string, home string) (Endpoint, error) {
	if configured != "" {
		return local(Endpoint{configured, FromConfig})
	}
	if host := env("DOCKER_HOST"); host != "" {
		return local(Endpoint{host, FromHost})
	}
	folder := env("DOCKER_CONFIG")
	if folder == "" && home != "" {
		folder = filepath.Join(home, ".docker")
	}
	name := env("DOCKER_CONTEXT")
	if name == "" && folder != "" {
		var config struct {
			CurrentContext string `json:"currentContext"`
		}
		if err := readDockerFile(filepath.Join(folder, "config.json"), &config); err != nil {
			return Endpoint{}, err
		}
		name = config.CurrentContext
	}
	if name == "" || name == "default" {
		return Endpoint{Address: DefaultEngine()}, nil
	}
	sum := sha256.Sum256([]byte(name))
	path := filepath.Join(folder, "contexts", "meta", hex.EncodeToString(sum[:]), "meta.json")
	var meta struct {
		Endpoints map[string]struct{ Host string }
	}
	if err := readDockerFile(path, &meta); err != nil {
		return Endpoint{}, err
	}
	host := meta.Endpoints["docker"].Host
	if host == "" {
		return Endpoint{}, fmt.Errorf("the docker context %q does not say where its engine is (%s)", name, path)
	}
	return local(Endpoint{host, "context " + name})
}

// readDockerFile reads a file of the docker command. One that is not there, or is nothing for this user, says nothing.
func readDockerFile(path string, into any) error {
	data, err := readBounded(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		return fmt.Errorf("cannot read %s of the docker command: %w", path, err)
	}
	return nil
}

// local lets only engines of this computer pass.
func local(e Endpoint) (Endpoint, error) {
	kind, rest, ok := strings.Cut(e.Address, "://")
	if !ok || rest == "" {
		return e, fmt.Errorf("cannot use the engine at %q: an address begins with unix://", e.Address)
	}
	switch kind {
	case "unix", "npipe", "fd":
		return e, nil
	case "tcp", "http", "https":
		u, err := url.Parse(e.Address)
		if err == nil && (u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()) {
			return e, nil
		}
	}
	name := e.Address
	if u, err := url.Parse(name); err == nil {
		name = u.Redacted()
	}
	return e, fmt.Errorf("cannot use the engine at %s: %w", name, ErrRemote)
}

// OwnEngine is FindEngine for this process.
func OwnEngine(configured string) (Endpoint, error) {
	home, _ := os.UserHomeDir()
	return FindEngine(configured, os.Getenv, home)
}
