package fetch

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"dhow/bundle"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// login is what a registry wants to know of who asks. It is found out once; a token is used until it expires.
type login struct {
	auth      authn.Authenticator
	challenge *transport.Challenge
	client    *http.Client
	until     time.Time // monotonic; zero: there is no token that expires
}

const (
	tokenLife   = 60 * time.Second // of a token whose server does not say, as Docker's specification has it
	tokenMargin = 10 * time.Second
)

func (l *login) bearer() bool { return strings.EqualFold(l.challenge.Scheme, "bearer") }

// scheme is that of the registry's addresses.
func (l *login) scheme() string {
	if l.challenge.Insecure {
		return "http"
	}
	return "https"
}

// logIn makes sure that there is a login for a repository.
func (n *Network) logIn(ctx context.Context, repo name.Repository, plain bool) (*login, error) {
	n.mu.Lock()
	known := n.logins[repo.Name()]
	n.mu.Unlock()
	if known != nil && (known.until.IsZero() || time.Now().Before(known.until)) {
		return known, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 2*stallTimeout, fmt.Errorf("%w: no answer within %v", bundle.ErrUnreachable, 2*stallTimeout))
	defer cancel()
	next, err := n.renew(ctx, repo, n.via(plain), known)
	if err != nil {
		n.logOut(repo)
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.logins[repo.Name()] = next
	return next, nil
}

// logOut forgets what a registry did not take: somebody may have changed the password meanwhile.
func (n *Network) logOut(repo name.Repository) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.logins, repo.Name())
}

func (n *Network) renew(ctx context.Context, repo name.Repository, via http.RoundTripper, known *login) (*login, error) {
	next := &login{}
	if known != nil {
		next.auth, next.challenge = known.auth, known.challenge
	} else {
		var err error
		if next.auth, err = authn.Resolve(ctx, authn.DefaultKeychain, repo); err != nil {
			return nil, fmt.Errorf("%w: cannot find out how to log in: %w", bundle.ErrUnreachable, err)
		}
		if next.challenge, err = transport.Ping(ctx, repo.Registry, via); err != nil {
			return nil, unreachable(ctx, err)
		}
	}
	token := &transport.Token{}
	if next.bearer() {
		var err error
		scopes := []string{repo.Scope(transport.PullScope)}
		if token, err = transport.Exchange(ctx, repo.Registry, next.auth, via, scopes, next.challenge); err != nil {
			return nil, unreachable(ctx, err)
		}
		if token.AccessToken != "" {
			token.Token = token.AccessToken
		}
		life := time.Duration(token.ExpiresIn) * time.Second
		if life <= 0 {
			life = tokenLife
		}
		next.until = time.Now().Add(life - tokenMargin)
	}
	wrapped, err := transport.FromToken(repo.Registry, next.auth, via, next.challenge, token)
	if err != nil {
		return nil, unreachable(ctx, err)
	}
	next.client = &http.Client{Transport: wrapped}
	return next, nil
}
