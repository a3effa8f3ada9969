package pack

import (
	"context"
	"strings"

	"dhow/bundle/fetch"

	"github.com/google/go-containerregistry/pkg/authn"
)

// Keychain is how somebody has logged in with the docker command, see fetch.CredentialOf.
type Keychain struct{}

// Resolve looks up the login for a registry or a repository.
func (k Keychain) Resolve(r authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), r)
}

// ResolveContext is Resolve, and ends with ctx.
func (Keychain) ResolveContext(ctx context.Context, r authn.Resource) (authn.Authenticator, error) {
	host := r.RegistryStr()
	c, err := fetch.CredentialOf(ctx, host, strings.TrimPrefix(r.String(), host+"/"))
	if err != nil {
		return nil, err
	}
	if c.Anonymous() {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(authn.AuthConfig{Username: c.User, Password: c.Password, IdentityToken: c.Identity, RegistryToken: c.Token}), nil
}
