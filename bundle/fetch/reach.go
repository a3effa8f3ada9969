package fetch

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"dhow/bundle"
	"dhow/manifest"
)

// Distance says how dear the bytes of a source are.
type Distance int

// The near ones cost nothing but time; a mirror is what somebody has named as nearer than the registry.
const (
	Local  Distance = iota // a path of this computer: a disk, a stick
	LAN                    // a host of the same building
	Mirror                 // stands in for a registry, farther than the building
	Line                   // everything else
)

func (d Distance) String() string {
	return [...]string{"this computer", "the local network", "a mirror", "the line"}[d]
}

// Reach is how far away a source is. A source may know that itself (its method Distance); of others the name tells it.
func Reach(src bundle.Source) Distance {
	if s, ok := src.(interface{ Distance() Distance }); ok {
		return s.Distance()
	}
	_, rest, found := strings.Cut(src.Name(), "://")
	if !found {
		return Local
	}
	if u, err := url.Parse("//" + rest); err == nil {
		rest = u.Host
	}
	return hostDistance(rest)
}

// hostDistance is the distance of HOST[:PORT] by its name.
func hostDistance(host string) Distance {
	if manifest.LocalHost(host) && !tunnelled(host) {
		return LAN
	}
	return Line
}

// tunnelled reports whether a private address is behind a tunnel or a modem: the head office has one, too. Nothing is sent.
func tunnelled(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	if ip == nil || ip.IsLoopback() {
		return false
	}
	conn, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: ip, Port: 9})
	if err != nil {
		return false // there is no way to it at all
	}
	from := conn.LocalAddr().(*net.UDPAddr).IP
	_ = conn.Close()
	interfaces, err := net.Interfaces()
	if err != nil {
		return false
	}
	for _, i := range interfaces {
		if i.Flags&net.FlagPointToPoint == 0 {
			continue
		}
		own, _ := i.Addrs()
		for _, a := range own {
			if n, ok := a.(*net.IPNet); ok && n.IP.Equal(from) {
				return true
			}
		}
	}
	return false
}

// OpenAll opens every source that can be opened, with the mirrors of WithMirrors beside the registries that they stand in for, the nearest
// first and otherwise in the order of specs: the order in which bytes are asked for. It fails only when there is none, as the last one did.
func (n *Network) OpenAll(ctx context.Context, specs []string) ([]bundle.Source, error) {
	var open []bundle.Source
	var last error
	for _, spec := range specs {
		if m := n.mirrorOf(spec); m != nil {
			open = append(open, m)
		}
		src, err := n.Open(ctx, spec)
		if err != nil {
			last = err
			continue
		}
		open = append(open, src)
	}
	slices.SortStableFunc(open, func(a, b bundle.Source) int { return cmp.Compare(Reach(a), Reach(b)) })
	if len(open) == 0 {
		return nil, last
	}
	return open, nil
}

// FarFirst returns sources in the order in which documents are asked for: what is near may be behind, as a neighbour is that was off.
func FarFirst(sources []bundle.Source) []bundle.Source {
	far := slices.Clone(sources)
	slices.SortStableFunc(far, func(a, b bundle.Source) int { return cmp.Compare(Reach(b), Reach(a)) })
	return far
}

// WithMirrors makes n use what stands in for registries: HOST[:PORT] of a registry to the address of its mirror, see manifest.ParseMirror.
// mirrors is asked whenever sources are opened.
func (n *Network) WithMirrors(mirrors func() map[string]string) *Network {
	n.mirrors = mirrors
	return n
}

// mirrorOf is what stands in for a source, or nil. It is tried and nothing more: the source itself stays.
func (n *Network) mirrorOf(spec string) bundle.Source {
	if n.mirrors == nil {
		return nil
	}
	repo, _, err := Repository(spec)
	if err != nil {
		return nil
	}
	for of, by := range n.mirrors() {
		m, err := manifest.ParseMirror(of, by)
		if err != nil || m.Of != manifest.RegistryHost(repo.RegistryStr()) {
			continue
		}
		path := repo.RepositoryStr()
		if m.Prefix != "" {
			path = m.Prefix + "/" + path
		}
		there := fmt.Sprintf("oci://%s/%s", m.Host, path)
		if m.Plain {
			there += "?insecure"
		}
		if src, err := n.openRegistry(there); err == nil {
			src.mirror = true
			return src
		}
	}
	return nil
}
