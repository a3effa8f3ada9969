package fetch

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"dhow/bundle"
	"dhow/manifest"

	"github.com/google/go-containerregistry/pkg/name"
)

// login is what a registry wants to know of who asks for a repository. It is found out once; a token is used until it expires, and renewed
// when the registry does not take it any more.
type login struct {
	net   *Network
	repo  name.Repository
	plain bool

	mu         sync.Mutex // held while somebody asks how, or for a token: the others wait for the answer
	scheme     string     // of the registry's addresses; empty before anybody has asked
	credential Credential
	failed     error // why the credential is not known
	challenge  challenge
	header     string    // Authorization, empty for none
	until      time.Time // monotonic; zero: it does not expire
}

const (
	tokenLife   = 60 * time.Second // of a token whose server does not say, as Docker's specification has it
	tokenMargin = 10 * time.Second
	maxToken    = 64 << 10
	loginWait   = 2 * stallTimeout
)

func loginKey(repo name.Repository, plain bool) string { return fmt.Sprint(repo.Name(), " ", plain) }

// logIn makes sure that there is a login for a repository.
func (n *Network) logIn(ctx context.Context, repo name.Repository, plain bool) (*login, error) {
	n.mu.Lock()
	l := n.logins[loginKey(repo, plain)]
	if l == nil {
		l = &login{net: n, repo: repo, plain: plain}
		n.logins[loginKey(repo, plain)] = l
	}
	n.mu.Unlock()
	if _, err := l.authorize(ctx, "", nil); err != nil {
		n.logOut(l)
		return nil, err
	}
	return l, nil
}

// logOut forgets what a registry did not take: somebody may have changed the password meanwhile.
func (n *Network) logOut(l *login) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if key := loginKey(l.repo, l.plain); n.logins[key] == l {
		delete(n.logins, key)
	}
}

// refused is logOut for a registry that has refused us with err, and what to say of that.
func (n *Network) refused(repo name.Repository, plain bool, err error) error {
	n.mu.Lock()
	l := n.logins[loginKey(repo, plain)]
	n.mu.Unlock()
	if l == nil {
		return err
	}
	n.logOut(l)
	return l.explain(err)
}

func (l *login) host() string { return l.repo.RegistryStr() }

// client makes requests that carry the login as far as the registry, and not to where it sends us.
func (l *login) client() *http.Client { return &http.Client{Transport: l, CheckRedirect: mayRedirect} }

// RoundTrip renews a token that has ended before anybody expected it, and goes on.
func (l *login) RoundTrip(req *http.Request) (*http.Response, error) {
	via := l.net.via(l.host(), l.plain)
	l.mu.Lock()
	header, scheme := l.header, l.scheme
	l.mu.Unlock()
	if !strings.EqualFold(req.URL.Host, l.host()) || req.URL.Scheme != scheme {
		return via.RoundTrip(req)
	}
	resp, err := via.RoundTrip(authorized(req, header))
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	asked, ok := choose(resp.Header)
	if !ok {
		return resp, nil
	}
	next, err := l.authorize(req.Context(), header, &asked)
	if err == nil && next == header {
		return resp, nil
	}
	_, _ = io.CopyN(io.Discard, resp.Body, maxExcuse)
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	return via.RoundTrip(authorized(req, next))
}

// authorized is a copy of a request with a header that is not handed on to where it is redirected.
func authorized(req *http.Request, header string) *http.Request {
	if header == "" {
		return req
	}
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", header)
	return req
}

// authorize returns what a request has to carry. refused is the header that the registry did not take, for which it has asked for another.
func (l *login) authorize(ctx context.Context, refused string, asked *challenge) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case asked != nil && l.header != refused: // somebody else was quicker
		return l.header, nil
	case asked == nil && l.scheme != "" && (l.until.IsZero() || time.Now().Before(l.until)):
		return l.header, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, loginWait, fmt.Errorf("%w: no answer within %v", bundle.ErrUnreachable, loginWait))
	defer cancel()
	if l.scheme == "" {
		if l.credential, l.failed = CredentialOf(ctx, l.host(), l.repo.RepositoryStr()); ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		if err := l.ping(ctx); err != nil {
			return "", err
		}
	}
	if asked != nil {
		l.challenge = *asked
	}
	return l.header, l.renew(ctx)
}

// renew does what the challenge asks for.
func (l *login) renew(ctx context.Context) error {
	switch l.challenge.scheme {
	case "bearer":
		token, life := l.credential.Token, time.Duration(0)
		if token == "" {
			var err error
			if token, life, err = l.token(ctx); err != nil {
				return l.explain(err)
			}
		}
		l.header, l.until = "Bearer "+token, time.Time{}
		if life > 0 {
			l.until = time.Now().Add(life - tokenMargin)
		}
	case "basic":
		l.header = basic(l.credential)
	}
	return nil
}

func basic(c Credential) string {
	if c.User == "" && c.Password == "" {
		return ""
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.User+":"+c.Password))
}

// explain says of a registry that does not let us in whether anybody has logged in.
func (l *login) explain(err error) error {
	switch {
	case !errors.Is(err, ErrRefused):
		return err
	case l.failed != nil:
		return fmt.Errorf("%w; %w", err, l.failed)
	case l.credential.Anonymous():
		return fmt.Errorf("%w; nobody has logged in to %s here (docker login %s)", err, l.host(), l.host())
	}
	return err
}

// ping finds out how the registry is spoken to. Plain http is tried where it is allowed and nobody speaks TLS.
func (l *login) ping(ctx context.Context) error {
	err := l.pingOver(ctx, "https")
	switch {
	case err == nil || ctx.Err() != nil:
		return err
	case l.plain && noTLS(err):
		return l.pingOver(ctx, "http")
	case !l.plain && plainText(err):
		return fmt.Errorf("%w: it speaks plain http, which oci://%s?insecure would allow", bundle.ErrUnreachable, l.repo.Name())
	}
	return err
}

// plainText reports whether a server has answered in plain http to TLS.
func plainText(err error) bool {
	var record tls.RecordHeaderError
	return errors.As(err, &record) || strings.Contains(err.Error(), "HTTP response to HTTPS client")
}

// noTLS reports whether there is nobody who speaks TLS. A server that does must not lead us to plain http, whatever it says.
func noTLS(err error) bool {
	var op *net.OpError
	return plainText(err) || errors.Is(err, io.EOF) || errors.Is(err, errNoTLS) || errors.As(err, &op) && (op.Op == "dial" || op.Op == "read")
}

// errNoTLS is a server that does not answer to TLS in time.
var errNoTLS = errors.New("no answer within 10 seconds")

// pingOver asks the one question that every registry answers.
func (l *login) pingOver(ctx context.Context, scheme string) error {
	client := &http.Client{Transport: l.net.via(l.host(), l.plain), CheckRedirect: mayRedirect}
	g := &getter{client}
	if scheme == "https" && l.plain { // a filter that swallows packets to the port of https must not hold up plain http for long
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, 10*time.Second, fmt.Errorf("%w: %w", bundle.ErrUnreachable, errNoTLS))
		defer cancel()
	}
	resp, err := g.do(ctx, http.MethodGet, scheme+"://"+l.host()+"/v2/", nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxExcuse) // read to its end, the connection can be used again
	scheme = resp.Request.URL.Scheme                  // it may have sent us to TLS
	switch code := resp.StatusCode; {
	case code == http.StatusOK && isPage(resp):
		return errPage
	case code == http.StatusOK:
		l.scheme, l.challenge = scheme, challenge{}
	case code == http.StatusUnauthorized:
		c, ok := choose(resp.Header)
		if !ok {
			return fmt.Errorf("%w: %w: it wants a kind of login that Dhow does not know", bundle.ErrUnreachable, ErrRefused)
		}
		l.scheme, l.challenge = scheme, c
	case code == http.StatusNotFound, code == http.StatusGone:
		return fmt.Errorf("%w: there is no registry (HTTP %d)", bundle.ErrUnreachable, code)
	default:
		return status(resp)
	}
	return nil
}

// token asks the server that the challenge names for a token to read the repository with.
func (l *login) token(ctx context.Context) (token string, life time.Duration, err error) {
	realm, err := l.realm()
	if err != nil {
		return "", 0, err
	}
	scope := "repository:" + l.repo.RepositoryStr() + ":pull"
	data := []byte(nil)
	if l.credential.Identity != "" {
		data, err = l.ask(ctx, realm, nil, url.Values{
			"grant_type": {"refresh_token"}, "refresh_token": {l.credential.Identity}, "service": {l.challenge.service}, "scope": {scope},
			"client_id": {userAgent},
		})
	}
	if l.credential.Identity == "" || isNotExist(err) { // not every server has the newer way
		q := realm.Query()
		q.Set("scope", scope)
		if l.challenge.service != "" {
			q.Set("service", l.challenge.service)
		}
		realm.RawQuery = q.Encode()
		header := http.Header{}
		if value := basic(l.credential); value != "" {
			header.Set("Authorization", value)
		}
		data, err = l.ask(ctx, realm, header, nil)
	}
	if err == nil {
		token, life, err = parseToken(data)
	}
	if err != nil && isNotExist(err) {
		err = fmt.Errorf("%w: %v", bundle.ErrUnreachable, err)
	}
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("no token from %s: %w", realm.Host, err)
	}
	return token, life, err
}

// ask asks the server of tokens. What it gets from us is for that server only.
func (l *login) ask(ctx context.Context, realm *url.URL, header http.Header, form url.Values) ([]byte, error) {
	secret := header.Get("Authorization") != "" || form != nil
	g := &getter{&http.Client{
		Transport: l.net.via(l.host(), l.plain),
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if secret && (!strings.EqualFold(req.URL.Host, realm.Host) || req.URL.Scheme != realm.Scheme) {
				return fmt.Errorf("it sends us on to %s with the password", req.URL.Host)
			}
			return mayRedirect(req, via)
		},
	}}
	method, address := http.MethodGet, realm.String()
	if form != nil {
		method = http.MethodPost
	}
	_, data, err := g.ask(ctx, method, address, header, form, maxToken)
	return data, err
}

// realm is where tokens are to be had. A registry may not use us to ask what only we can reach: plain http is for registries that are spoken
// to so themselves, and this computer or a link-local address (where clouds keep their secrets) for registries of the same building. Another
// address of the building is good enough: that is how registries in a LAN are.
func (l *login) realm() (*url.URL, error) {
	u, err := url.Parse(l.challenge.realm)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("%w: it names no server for tokens that can be asked", bundle.ErrUnreachable)
	}
	switch {
	case strings.EqualFold(u.Host, l.host()):
	case !manifest.LocalHost(l.host()) && onlyHere(u.Hostname()):
		return nil, fmt.Errorf("%w: it names %s as the server for tokens, which is not its business", bundle.ErrUnreachable, u.Host)
	}
	if u.Scheme != "https" && (u.Scheme != "http" || l.scheme != "http") {
		return nil, fmt.Errorf("%w: it wants us to ask %s for a token without TLS", bundle.ErrUnreachable, u.Host)
	}
	return u, nil
}

// onlyHere reports whether a host is this computer, or link-local.
func onlyHere(host string) bool {
	if loopback(host) || strings.HasSuffix(strings.ToLower(host), ".localhost") {
		return true
	}
	host, _, _ = strings.Cut(host, "%")
	ip, err := netip.ParseAddr(host)
	ip = ip.Unmap()
	return err == nil && (ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsUnspecified())
}

// parseToken reads the answer of a server of tokens. It never stands in an error.
func parseToken(data []byte) (token string, life time.Duration, err error) {
	var answer struct {
		Token     string  `json:"token"`
		Access    string  `json:"access_token"`
		ExpiresIn float64 `json:"expires_in"`
	}
	limits := manifest.JSONLimits{Size: maxToken, Depth: 8, Values: 1000}
	if manifest.CheckJSON(data, limits) != nil || json.Unmarshal(data, &answer) != nil {
		return "", 0, fmt.Errorf("%w: its answer can't be read", bundle.ErrUnreachable)
	}
	if token = answer.Access; token == "" {
		token = answer.Token
	}
	if token == "" {
		return "", 0, fmt.Errorf("%w: there is none in its answer", bundle.ErrUnreachable)
	}
	for _, c := range []byte(token) {
		if c <= ' ' || c > '~' {
			return "", 0, fmt.Errorf("%w: it can't be sent back", bundle.ErrUnreachable)
		}
	}
	life = tokenLife
	if answer.ExpiresIn >= 1 && answer.ExpiresIn <= 365*24*3600 {
		life = time.Duration(answer.ExpiresIn * float64(time.Second))
	}
	return token, life, nil
}
