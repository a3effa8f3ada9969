package health

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"dhow/manifest"
)

const (
	maxBody      = 1 << 20
	maxHeader    = 64 << 10
	maxRedirects = 5
	oneAnswer    = 30 * time.Second
)

// prepareHTTP makes a client that reaches services by name inside the stack and nothing else. Certificates are not checked:
// they are made out to the site's public name, and the request carries no secret.
func prepareHTTP(c manifest.Check, p Probe) (attempt, error) {
	u, err := url.Parse(c.HTTP)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return nil, fmt.Errorf("%q is no URL of a service", c.HTTP)
	}
	return func(ctx context.Context) (string, string, error) {
		status, err := get(ctx, u, c, p)
		return u.Hostname(), status, err
	}, nil
}

func get(ctx context.Context, u *url.URL, c manifest.Check, p Probe) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, oneAnswer)
	defer cancel()
	jar, err := cookiejar.New(nil) // pages that redirect often set a cookie first
	if err != nil {
		return "", err
	}
	client := &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				host, port, err := net.SplitHostPort(address)
				if err != nil {
					return nil, err
				}
				ip, err := serviceIP(p, host)
				if err != nil {
					return nil, err
				}
				return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(ip, port))
			},
			TLSClientConfig:        &tls.Config{InsecureSkipVerify: true},
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: maxHeader,
		},
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			if c.Status >= 300 && c.Status < 400 {
				return http.ErrUseLastResponse
			}
			if len(via) > maxRedirects {
				return fmt.Errorf("more than %d redirects", maxRedirects)
			}
			if _, err := serviceIP(p, next.URL.Hostname()); err != nil {
				return fmt.Errorf("redirected to %s, which is no service of the stack", next.URL.Host)
			}
			return nil
		},
		Jar: jar,
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("User-Agent", "dhow")
	resp, err := client.Do(req)
	if err != nil {
		if e := (*url.Error)(nil); errors.As(err, &e) {
			err = e.Err
		}
		if errors.Is(err, context.DeadlineExceeded) {
			err = errors.New("no answer in time")
		}
		return "", fmt.Errorf("%s: %w", u.Redacted(), err)
	}
	defer resp.Body.Close()
	status := fmt.Sprint(resp.StatusCode)
	if c.Status != 0 && resp.StatusCode != c.Status {
		return status, fmt.Errorf("%s answered %s, expected %d", u.Redacted(), status, c.Status)
	}
	if c.Status == 0 && (resp.StatusCode < 200 || resp.StatusCode > 299) {
		return status, fmt.Errorf("%s answered %s", u.Redacted(), status)
	}
	if c.Contains == "" {
		return status, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if strings.Contains(string(body), c.Contains) {
		return status, nil
	}
	if err != nil {
		return status, fmt.Errorf("%s: cannot read the answer: %w", u.Redacted(), err)
	}
	return status, fmt.Errorf("%s does not contain %q", u.Redacted(), c.Contains)
}

func serviceIP(p Probe, host string) (string, error) {
	ip, err := p.Address(host)
	if err != nil {
		return "", err
	}
	if net.ParseIP(ip) == nil {
		return "", fmt.Errorf("service %s has no address", host)
	}
	return ip, nil
}
