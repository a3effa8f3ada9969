package site

import (
	"net"
	"strconv"
)

// CheckServe says whether an address can be listened on for other sites: a port, maybe behind a host.
func CheckServe(address string) error {
	host, port, err := net.SplitHostPort(address)
	n, perr := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil || perr != nil || n == 0:
		return wrong("serve", `serve must look like %q, or %q for one network`, "all", ":8911", "one", "192.168.1.5:8911")
	case host != "" && net.ParseIP(host) == nil:
		return wrong("serve_host", "serve: the host must be an address of this computer, or be left out")
	}
	return nil
}
