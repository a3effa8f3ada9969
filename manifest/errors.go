package manifest

import "errors"

// Kinds of refusal. The text around them names the document, the part and the cause.
var (
	// ErrInvalid: the document breaks a rule of its format.
	ErrInvalid = errors.New("not valid")
	// ErrTooLarge: the document is over one of the limits of this package.
	ErrTooLarge = errors.New("larger than allowed")
	// ErrNewer: the document has a format that a newer program wrote.
	ErrNewer = errors.New("made for a newer version of dhow")
	// ErrPlatform: the release has no image for the platform asked for.
	ErrPlatform = errors.New("no image for this kind of computer")
	// ErrUnknownSite: the fleet does not know the site.
	ErrUnknownSite = errors.New("site is not in the fleet")
	// ErrFrom: the release may not follow directly on the one that runs.
	ErrFrom = errors.New("cannot be reached directly")
	// ErrBack: the releases do not permit that a pin takes a site back.
	ErrBack = errors.New("a pin can't take a site back")
)
