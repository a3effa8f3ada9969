package site

import (
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// DefaultPage is where the local page is when nothing else is said.
const DefaultPage = "127.0.0.1:8910"

// Page says who gets to see the local page. Listen is ADDRESS:PORT; empty means DefaultPage. Whatever it says, the page is there for this
// computer, on its loopback addresses and that port. Hosts are names besides "localhost" and the addresses themselves under which people
// may open it. Cert and Key are PEM files for the network; both empty means that the agent makes its own.
type Page struct {
	Off       bool
	Listen    string
	Hosts     []string
	Cert, Key string
}

// Address is where the page is to be.
func (p Page) Address() string {
	if p.Listen == "" {
		return DefaultPage
	}
	return p.Listen
}

// IsZero leaves the key out of a file that says nothing about the page.
func (p Page) IsZero() bool {
	return !p.Off && p.Listen == "" && len(p.Hosts) == 0 && p.Cert == "" && p.Key == ""
}

// MarshalYAML writes it as it is read.
func (p Page) MarshalYAML() (any, error) {
	if p.Off {
		return "off", nil
	}
	return struct {
		Listen string   `yaml:"listen,omitempty"`
		Hosts  []string `yaml:"hosts,omitempty"`
		Cert   string   `yaml:"cert,omitempty"`
		Key    string   `yaml:"key,omitempty"`
	}{p.Listen, p.Hosts, p.Cert, p.Key}, nil
}

func readPage(n *yaml.Node, to *Page) error {
	if n.Kind == yaml.ScalarNode {
		switch {
		case n.Tag == "!!null":
			return nil
		case isOff(n):
			to.Off = true
			return nil
		}
		return mistake(n, wrong("page", "page must be off, or look like %s", "example", `{listen: "0.0.0.0:8910", hosts: [emr.local]}`))
	}
	text := func(to *string, check func(string) error) field {
		return field{func(n *yaml.Node) error { return readText(n, to, check) }}
	}
	if err := readMapping(n, map[string]field{
		"listen": text(&to.Listen, CheckPage),
		"hosts":  {func(n *yaml.Node) error { return readHosts(n, &to.Hosts) }},
		"cert":   text(&to.Cert, checkAbsolute),
		"key":    text(&to.Key, checkAbsolute),
	}); err != nil {
		return err
	}
	if (to.Cert == "") != (to.Key == "") {
		return mistake(n, wrong("pair", "cert and key belong together"))
	}
	return nil
}

// CheckPage says whether the page can be at an address: one of this computer, and a port.
func CheckPage(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = netip.ParseAddr(host)
	}
	if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || n == 0 {
		return wrong("listen", "listen must look like %q, or %q for the network", "here", "127.0.0.1:8910", "network", "0.0.0.0:8910")
	}
	return nil
}

// hostName is a name as a browser sends it: small letters, no port.
var hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,62})(\.[a-z0-9-]{1,63})*$`)

func readHosts(n *yaml.Node, to *[]string) error {
	if err := readList(n, to); err != nil {
		return err
	}
	for i, host := range *to {
		host = strings.ToLower(host)
		if _, err := netip.ParseAddr(host); err != nil && (!hostName.MatchString(host) || len(host) > 253) {
			return mistake(n.Content[i], wrong("host", "%q can't be the name of a computer: write it like emr.local, without http:// and port", "value", host))
		}
		(*to)[i] = host
	}
	return nil
}

func checkAbsolute(path string) error {
	if !filepath.IsAbs(path) {
		return wrong("absolute", "%q must begin at the root, like %q", "value", path, "example", "/etc/dhow/page.pem")
	}
	return nil
}

// CheckMetrics says whether metrics can be: true for the page's own address and this computer only, or an ADDRESS:PORT of their own.
func CheckMetrics(s string) error {
	if s == "true" || s == "false" || CheckPage(s) == nil {
		return nil
	}
	return wrong("metrics", "metrics must be true, or an address of their own like %q", "example", "192.168.1.5:9109")
}

// CheckNotify says whether notify can be s.
func CheckNotify(s string) error {
	if s == "on" || s == "off" || s == "true" || s == "false" {
		return nil
	}
	return wrong("notify", "notify must be on or off")
}

// readHook reads a command and its arguments.
func readHook(n *yaml.Node, to *[]string) error {
	if err := readList(n, to); err != nil {
		return err
	}
	if len(*to) > 0 && !filepath.IsAbs((*to)[0]) {
		return mistake(n.Content[0], wrong("program", "%q must be the whole path of a program, like %q: it is run without a shell", "value", (*to)[0], "example", "/usr/local/bin/tell"))
	}
	return nil
}

// isOff knows what people write for no.
func isOff(n *yaml.Node) bool { return n.Value == "off" || n.Value == "false" || n.Value == "no" }
