package manifest

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

// Mirror stands in for a registry: what the registry has as NAME the mirror has as Prefix/NAME.
type Mirror struct {
	Of     string // HOST[:PORT] of the registry; docker.io for Docker's own, however it is written
	Host   string // HOST[:PORT]
	Prefix string // without slashes at its ends; mostly empty
	Plain  bool   // plain http
}

var (
	mirrorHost   = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?$`)
	mirrorPrefix = regexp.MustCompile(`^[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$`)
)

// ParseMirror reads the name of a registry and what stands in for it: HOST[:PORT][/PREFIX], with https:// in front or not, or with http://
// for hosts of the same building (see LocalHost).
func ParseMirror(of, by string) (Mirror, error) {
	if !mirrorHost.MatchString(of) {
		return Mirror{}, fmt.Errorf("%q is not the name of a registry: write it like docker.io or registry.example.org:5000", of)
	}
	m := Mirror{Of: RegistryHost(of)}
	rest := by
	if scheme, after, found := strings.Cut(by, "://"); found {
		switch strings.ToLower(scheme) {
		case "http":
			m.Plain = true
		case "https":
		default:
			return Mirror{}, errors.New("the address of a mirror begins with https://, http:// or its host")
		}
		rest = after
	}
	if strings.Contains(rest, "@") { // dhow.yaml is readable by everybody
		return Mirror{}, errors.New("the address of a mirror holds no password: docker login is the place for it")
	}
	m.Host, m.Prefix, _ = strings.Cut(strings.TrimSuffix(rest, "/"), "/")
	if !mirrorHost.MatchString(m.Host) || m.Prefix != "" && !mirrorPrefix.MatchString(m.Prefix) {
		return Mirror{}, fmt.Errorf("%q is not the address of a mirror: write it like registry.local:5000 or registry.example.org/hub", by)
	}
	switch {
	case m.Plain && !LocalHost(m.Host):
		return Mirror{}, fmt.Errorf("plain http to %s is not allowed: http:// is for hosts of the same building (10.0.0.5, registry.local)", m.Host)
	case RegistryHost(m.Host) == m.Of:
		return Mirror{}, fmt.Errorf("%s is its own mirror", m.Of)
	}
	return m, nil
}

// RegistryHost is the one name of a registry: Docker's own has several.
func RegistryHost(host string) string {
	switch host = strings.ToLower(host); host {
	case "index.docker.io", "registry-1.docker.io":
		return "docker.io"
	}
	return host
}

// LocalHost reports whether a HOST[:PORT] is this computer or one of the same building by its name: a private, link-local or loopback
// address, a name with a single label, or one under .local.
func LocalHost(host string) bool {
	if at := strings.LastIndexByte(host, ':'); at > strings.LastIndexByte(host, ']') && (host[0] == '[' || strings.IndexByte(host, ':') == at) {
		host = host[:at] // of several colons without brackets none begins a port
	}
	host = strings.TrimSuffix(strings.Trim(strings.ToLower(host), "[]"), ".")
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		return ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast()
	}
	return host != "" && (!strings.Contains(host, ".") || strings.HasSuffix(host, ".local"))
}
