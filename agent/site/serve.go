package site

import (
	"errors"
	"net"
	"strconv"
)

// CheckServe says whether an address can be listened on for other sites: a port, maybe behind a host.
func CheckServe(address string) error {
	host, port, err := net.SplitHostPort(address)
	n, perr := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil || perr != nil || n == 0:
		return errors.New(`serve must look like ":8911", or "192.168.1.5:8911" for one network`)
	case host != "" && net.ParseIP(host) == nil:
		return errors.New("serve: the host must be an address of this computer, or be left out")
	}
	return nil
}
