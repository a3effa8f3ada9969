package guard

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"dhow/agent/site"
)

// rightHost says whether a request names this page. A page of another site whose name somebody has pointed at this computer (DNS rebinding) sends
// that name, and browsers then think that it may read the answers: nothing but the exact list is answered.
func (g *Guard) rightHost(r *http.Request, local netip.AddrPort, here bool) bool {
	host, port := splitHost(r)
	return port == local.Port() && g.rightName(host, local, here)
}

// rightPlainHost is rightHost for who came from the network without TLS, and shall be sent on: the port must be there, as the other scheme has another one.
func (g *Guard) rightPlainHost(r *http.Request, local netip.AddrPort) bool {
	_, _, err := net.SplitHostPort(r.Host)
	return err == nil && r.Method != http.MethodPost && g.rightHost(r, local, false)
}

func (g *Guard) rightName(host string, local netip.AddrPort, here bool) bool {
	if addr, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil && addr.Unmap() == local.Addr() {
		return true
	}
	return here && host == "localhost" || slices.Contains(g.o.Config().Page.Hosts, strings.Trim(host, "[]"))
}

// splitHost is the Host of r in small letters and its port, or that of the scheme.
func splitHost(r *http.Request) (host string, port uint16) {
	host = strings.ToLower(r.Host)
	port = 80
	if r.TLS != nil {
		port = 443
	}
	h, p, err := net.SplitHostPort(host)
	if err != nil {
		return host, port
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != p {
		return "", 0
	}
	return h, uint16(n)
}

// LocalAddress is where who sits at this computer finds the page.
func LocalAddress(p site.Page) string {
	addr, err := netip.ParseAddrPort(p.Address())
	if err != nil || addr.Addr().IsLoopback() {
		return p.Address()
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(addr.Port())))
}
