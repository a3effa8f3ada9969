package fetch

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"dhow/manifest"
)

// Credential is how somebody has logged in to a registry with the docker command. Its zero value is nobody.
type Credential struct {
	User, Password string
	Identity       string // a refresh token, in place of a password
	Token          string // a token for the registry itself
}

// Anonymous reports whether nobody has logged in.
func (c Credential) Anonymous() bool { return c == Credential{} }

// maxDockerConfig bounds the configuration of Docker, in bytes.
const maxDockerConfig = 1 << 20

// dockerHub is the name under which the docker command keeps the login of Docker's own registry.
const dockerHub = "https://index.docker.io/v1/"

// dockerConfig is the part of Docker's config.json that is about logins.
type dockerConfig struct {
	path  string
	Auths map[string]struct {
		Auth, Username, Password, IdentityToken, RegistryToken string
	} `json:"auths"`
	Store   string            `json:"credsStore"`
	Helpers map[string]string `json:"credHelpers"`
}

// CredentialOf looks up how to log in to a repository, PATH at HOST[:PORT] of a registry, as the docker command does: in
// $DOCKER_AUTH_CONFIG and in config.json of $DOCKER_CONFIG or ~/.docker (else in podman's auth.json), with the credential helpers that it
// names. A helper that is missing, fails or does not answer in time is an error that names it.
func CredentialOf(ctx context.Context, host, path string) (Credential, error) {
	if text := os.Getenv("DOCKER_AUTH_CONFIG"); text != "" {
		c, err := parseDockerConfig("$DOCKER_AUTH_CONFIG", []byte(text))
		if err != nil {
			return Credential{}, err
		}
		if found, err := c.inFile(host, path); err != nil || !found.Anonymous() {
			return found, err
		}
	}
	c, err := readDockerConfig()
	if c == nil || err != nil {
		return Credential{}, err
	}
	helper, server := c.helper(host)
	if helper == "" {
		return c.inFile(host, path)
	}
	found, err := askHelper(ctx, helper, server)
	if err != nil {
		return Credential{}, fmt.Errorf("the credential helper docker-credential-%s, which %s names, %w", helper, c.path, err)
	}
	return found, nil
}

// readDockerConfig reads the first file that is there, or returns nil.
func readDockerConfig() (*dockerConfig, error) {
	for _, path := range dockerConfigs() {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read Docker's configuration: %w", err)
		}
		data, err := io.ReadAll(io.LimitReader(f, maxDockerConfig+1))
		_ = f.Close()
		if err != nil {
			return nil, fmt.Errorf("cannot read Docker's configuration: %w", err)
		}
		return parseDockerConfig(path, data)
	}
	return nil, nil
}

// dockerConfigs are the places of logins, the first that is there counts. A service may run without $HOME.
func dockerConfigs() (paths []string) {
	home, err := os.UserHomeDir()
	if err != nil {
		if u, err := user.Current(); err == nil {
			home = u.HomeDir
		}
	}
	add := func(dir string, name ...string) {
		if dir != "" {
			paths = append(paths, filepath.Join(append([]string{dir}, name...)...))
		}
	}
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
		add(dir, "config.json")
	} else {
		add(home, ".docker", "config.json")
	}
	add(os.Getenv("REGISTRY_AUTH_FILE"))
	add(os.Getenv("XDG_RUNTIME_DIR"), "containers", "auth.json")
	if dir := os.Getenv("XDG_CONFIG_HOME"); dir != "" {
		add(dir, "containers", "auth.json")
	} else {
		add(home, ".config", "containers", "auth.json")
	}
	return paths
}

// parseDockerConfig never puts the text into an error: it holds passwords.
func parseDockerConfig(path string, data []byte) (*dockerConfig, error) {
	c := &dockerConfig{path: path}
	if len(data) > maxDockerConfig {
		return nil, fmt.Errorf("%s is too large for a configuration of Docker", path)
	}
	if len(strings.TrimSpace(string(data))) == 0 { // docker takes that for nothing, too
		return c, nil
	}
	if err := json.Unmarshal(data, c); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, fmt.Errorf("%s is no JSON: there is a mistake at byte %d", path, syntax.Offset)
		}
		return nil, fmt.Errorf("%s is no configuration of Docker", path)
	}
	return c, nil
}

// keysOf are the names under which a registry may stand in the configuration, the one that the docker command writes first.
func keysOf(host string) []string {
	if manifest.RegistryHost(host) == "docker.io" {
		return []string{dockerHub, "index.docker.io", "docker.io", "registry-1.docker.io"}
	}
	return []string{host}
}

// helper is which program knows the login of a registry, and what to ask it for; "" for none.
func (c *dockerConfig) helper(host string) (helper, server string) {
	keys := keysOf(host)
	for _, k := range keys {
		if h, ok := c.Helpers[k]; ok {
			return h, k
		}
	}
	return c.Store, keys[0]
}

// inFile is the login that stands in the configuration itself; podman's may name a repository.
func (c *dockerConfig) inFile(host, path string) (Credential, error) {
	keys := append([]string{host + "/" + path}, keysOf(host)...)
	var old []string // as they were written long ago
	for k := range c.Auths {
		name := strings.TrimPrefix(strings.TrimPrefix(k, "https://"), "http://")
		if name, _, _ = strings.Cut(name, "/"); name == host && !slices.Contains(keys, k) && strings.Contains(k, "://") {
			old = append(old, k)
		}
	}
	slices.Sort(old)
	for _, k := range append(keys, old...) {
		a, ok := c.Auths[k]
		if !ok {
			continue
		}
		found := Credential{a.Username, a.Password, a.IdentityToken, a.RegistryToken}
		if a.Auth != "" {
			plain, err := base64.StdEncoding.DecodeString(a.Auth)
			name, password, two := strings.Cut(string(plain), ":")
			if err != nil || !two || name == "" {
				return Credential{}, fmt.Errorf("the login for %s in %s can't be read: docker login %s writes it anew", k, c.path, host)
			}
			found.User, found.Password = name, strings.Trim(password, "\x00")
		}
		if !found.Anonymous() {
			return found, nil
		}
	}
	return Credential{}, nil
}
