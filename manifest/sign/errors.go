package sign

import (
	"errors"
	"fmt"
)

// Kinds of failure that callers tell apart.
var (
	// ErrPassphrase: the keys do not open with the passphrase.
	ErrPassphrase = errors.New("wrong passphrase")
	// ErrPIN: the token does not open with the PIN.
	ErrPIN = errors.New("wrong PIN")
	// ErrKey: a key that can't be used for this; the text says why.
	ErrKey = errors.New("the key can't be used")
	// ErrKeyFile: a file that is no key file, or damaged.
	ErrKeyFile = errors.New("no good key file")
	// ErrNoTokens: this program was built without the code that talks to tokens.
	ErrNoTokens = errors.New("this dhowctl was built without the tag pkcs11: it can't use tokens")
	// ErrLockOut: the change would leave a fleet that can't be signed any more.
	ErrLockOut = errors.New("it would lock the fleet out")
	// ErrNoRoot: no new root waits for signatures.
	ErrNoRoot = errors.New("no new root is waiting for signatures")
	// ErrRootExpired: only a new root can be signed.
	ErrRootExpired = errors.New("the root has expired")
	// ErrRoot: a root that does not follow the newest one here.
	ErrRoot = errors.New("the root does not fit")
	// ErrBusy: another command signs in the same folder.
	ErrBusy = errors.New("another command is signing here")
	// ErrExists: it is there already, with another content.
	ErrExists = errors.New("already exists")
	// ErrUnknownRelease: the repository holds no such release.
	ErrUnknownRelease = errors.New("no such release")
	// ErrUnknownAgent: the repository holds no such version of the agent.
	ErrUnknownAgent = errors.New("no such agent")
	// ErrFleetFile: fleet.yaml has a mistake; the text says where.
	ErrFleetFile = errors.New("mistake in fleet.yaml")
	// ErrNoPast: a pin says "previous" and there is none.
	ErrNoPast = errors.New("there is no previous release")
	// ErrDowngrade: a pin takes sites back and does not say that it may.
	ErrDowngrade = errors.New("goes back to an older release")
	// ErrAgentDowngrade: the agent of sites would go back, and fleet.yaml does not say that it may.
	ErrAgentDowngrade = errors.New("goes back to an older agent")
	// ErrSecret: what is to be signed for everybody to read looks like a secret.
	ErrSecret = errors.New("looks like a secret")
	// ErrNotSigned: nothing was signed yet.
	ErrNotSigned = errors.New("nothing was signed yet")
	// ErrNothingNew: a ceremony would have nothing to sign.
	ErrNothingNew = errors.New("there is nothing new to sign")
	// ErrOutdated: a ceremony was prepared from a state of the fleet that is no longer the newest.
	ErrOutdated = errors.New("it was prepared from an older state of the fleet")
	// ErrMissing: signatures are missing.
	ErrMissing = errors.New("signatures are missing")
)

// marked is an error of a kind whose text says it better than the kind does.
type marked struct{ kind, err error }

func (m marked) Error() string   { return m.err.Error() }
func (m marked) Unwrap() []error { return []error{m.kind, m.err} }

// keyError is an ErrKey with a text of its own.
func keyError(format string, args ...any) error { return marked{ErrKey, fmt.Errorf(format, args...)} }

func keyFileError(format string, args ...any) error {
	return marked{ErrKeyFile, fmt.Errorf(format, args...)}
}
