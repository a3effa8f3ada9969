package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"dhow/agent/api"
	"dhow/agent/page/guard"
	"dhow/agent/site"
)

// pageAnswer is what dhow page --json prints.
type pageAnswer struct {
	Address     string   `json:"address,omitempty"` // for this computer; empty when there is no page
	Network     []string `json:"network,omitempty"` // for others
	Fingerprint string   `json:"fingerprint,omitempty"`
	PIN         bool     `json:"pin"` // whether one is set

	unsaid bool // there is no page because the configuration names none
}

func (s *shell) pageCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:  "page",
		Long: "help.long.page",
		Args: known,
		RunE: func(*cobra.Command, []string) error {
			a, err := s.page()
			if err != nil {
				return err
			}
			if asJSON {
				return s.json(a)
			}
			s.tellPage(a)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "help.flag.json")
	cmd.AddCommand(&cobra.Command{
		Use:  "pin",
		Long: "help.long.page.pin",
		Args: exactly(0),
		RunE: func(*cobra.Command, []string) error { return s.setPIN() },
	})
	return cmd
}

func (s *shell) page() (a pageAnswer, err error) {
	config, err := s.config()
	if err != nil {
		return a, err
	}
	dir := s.paths().Page()
	if a.PIN, err = guard.HasPIN(dir); err != nil {
		return a, err
	}
	page := config.Page
	a.unsaid = !page.Off
	if page.Off = pageOff(s.paths(), page); page.Off {
		return a, nil
	}
	at, err := netip.ParseAddrPort(page.Address())
	if err != nil {
		return a, err
	}
	if at.Addr().IsLoopback() {
		a.Address = "http://" + at.String()
		return a, nil
	}
	port := strconv.Itoa(int(at.Port()))
	a.Address = "http://127.0.0.1:" + port
	for _, host := range append(addressesOf(at.Addr()), page.Hosts...) {
		a.Network = append(a.Network, "https://"+net.JoinHostPort(host, port))
	}
	cert, err := guard.KnownCertificate(dir, page)
	if cert != nil {
		a.Fingerprint = guard.Fingerprint(cert)
	}
	return a, err
}

// addressesOf are the addresses of this computer on its networks, when it listens on all of them.
func addressesOf(at netip.Addr) (list []string) {
	if !at.IsUnspecified() {
		return []string{at.String()}
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range all {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() && (p.Addr().Is4() || at.Is6()) {
			list = append(list, p.Addr().String())
		}
	}
	return list
}

// pageOff says whether there is no page. Who keeps everything under a folder may have several agents: each gets a page where its own configuration says.
func pageOff(paths site.Paths, p site.Page) bool { return p.Off || paths.Prefix != "" && p.IsZero() }

func (s *shell) tellPage(a pageAnswer) {
	if a.Address == "" && a.unsaid {
		s.sayln("guard.none")
		return
	}
	if a.Address == "" {
		s.sayln("guard.off")
		return
	}
	s.sayln("guard.at", "address", a.Address)
	if len(a.Network) > 0 {
		s.sayln("guard.network", "addresses", s.words.List(a.Network))
	}
	if a.Fingerprint != "" {
		s.sayln("guard.fingerprint", "fingerprint", a.Fingerprint)
	}
	if a.PIN {
		s.sayln("guard.pin")
	} else {
		s.sayln("guard.no_pin", "command", s.command("page pin"))
	}
}

func (s *shell) setPIN() error {
	if _, err := s.config(); err != nil {
		return err
	}
	pin, err := s.readPIN()
	if err != nil {
		return err
	}
	if err := s.paths().Make(); err != nil {
		return err
	}
	err = guard.SetPIN(s.paths().Page(), pin)
	var unfit *guard.ErrPIN
	switch {
	case !errors.As(err, &unfit):
	case unfit.Kind == guard.PINShort:
		return api.Fail(api.CodeUsage, "choose another one", "a PIN has at least 6 digits").In("pin_short")
	case unfit.Kind == guard.PINSimple:
		return api.Fail(api.CodeUsage, "choose another one", "this PIN is one of the first that anybody tries").In("pin_simple")
	default:
		return api.Fail(api.CodeUsage, "choose another one", "a PIN is made of digits, 32 at most").In("pin_digits")
	}
	if err != nil {
		return err
	}
	s.sayln("guard.kept")
	return nil
}

// readPIN asks twice on a terminal, which does not show it; else it reads a line.
func (s *shell) readPIN() (string, error) {
	if !terminal(s.in) {
		line, err := bufio.NewReader(io.LimitReader(s.in, 1024)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		return strings.TrimSpace(line), nil
	}
	var given [2]string
	for i, key := range []string{"guard.ask", "guard.ask_again"} {
		s.printf("%s ", s.say(key))
		text, err := term.ReadPassword(int(s.in.(interface{ Fd() uintptr }).Fd()))
		s.printf("\n")
		if err != nil {
			return "", err
		}
		given[i] = string(text)
	}
	if given[0] != given[1] {
		return "", api.Fail(api.CodeUsage, "try again", "the two PINs are not the same").In("pin_differs")
	}
	return given[0], nil
}
