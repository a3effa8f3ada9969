// Package offsite keeps copies of backups at another place: a stick or another folder, or a bucket of any S3-compatible store.
//
// It promises that
//   - whoever finds or breaks into a place learns nothing but names, sizes and checksums: every object is encrypted with age to the centre's public
//     key, and this site can't read back what it has sent,
//   - only what a place lacks is sent, object by object: what was sent before a line broke or a stick was pulled out is not sent again,
//   - a copy counts only when its record is there, and the record comes after all its objects; older copies are never touched by a new one,
//   - what comes back from a place is bounded, and whole: every byte is compared with the checksum that the site took before it
//     encrypted, and the record says which site and which backup it is,
//   - nothing is written into a folder or bucket that was not marked as a place (Init), such as the empty folder that is left when a stick
//     is not there.
//
// It leaves to others what a backup consists of (Source, Sink), when copies are made, how often is tried again (ErrUnreachable: for ever), how
// many are kept, and that one thing is done at one place at a time for one site. Names of backups sort by their age. The record is
// encrypted, not signed: who can write to the place and knows the public key can put another copy there, of which the restore says what it is.
//
// A place holds
//
//	dhow-place.json               the mark, see Init
//	SITE/objects/NAME.ID.age      an object of backups; ID is a short digest of its content and of the public key that it is encrypted to
//	SITE/backups/NAME.objects     which objects the backup NAME needs, in clear (names, sizes, SHA-256), so that this site sees what may go
//	SITE/backups/NAME.age         the record: the same, encrypted; written last
//
// With a new public key everything is sent anew. FAT, exFAT and ext4 sticks will do.
package offsite

import (
	"context"
	"errors"
	"io"
)

// Kinds of failure that callers tell apart. Hint says what to do.
var (
	// ErrUnreachable: the line, or the stick, is away. Trying again helps.
	ErrUnreachable = errors.New("the place does not answer")
	// ErrNoPlace: there is no such bucket, or the folder or bucket is not marked: perhaps the stick is not there.
	ErrNoPlace = errors.New("this is not a place for copies")
	// ErrDenied: keys are wrong, or may not do this; the stick is write-protected; the server is not who it should be.
	ErrDenied = errors.New("the place refuses")
	// ErrFull: there is no room for what is to be sent.
	ErrFull = errors.New("the place is full")
	// ErrSpec: what should name a place does not.
	ErrSpec = errors.New("not the name of a place")
	// ErrNoCopy: the place holds no such copy.
	ErrNoCopy = errors.New("there is no such copy")
	// ErrDamaged: bytes at the place are not those that were sent, or some are missing.
	ErrDamaged = errors.New("the copy is damaged")
	// ErrWrongKey: the copy was encrypted for another key.
	ErrWrongKey = errors.New("this backup was encrypted for another key")
	// ErrOther: the copy is of another site or backup than its name says.
	ErrOther = errors.New("this is the copy of another backup")
	// ErrNewer: a newer dhow has written this.
	ErrNewer = errors.New("it was written by a newer dhow")
	// ErrKey: a public key, or a file of secret keys, can't be used; ErrPassphrase: the passphrase does not open it.
	ErrKey        = errors.New("not a key for backups")
	ErrPassphrase = errors.New("wrong passphrase")
	// ErrSource: this site's own backup can't be read as it was written.
	ErrSource = errors.New("the backup at this site can't be copied")
)

// Object is a file of a backup: content-named and immutable. SHA256 is lowercase hex.
type Object struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Source is where backups are copied from. Objects come in the order in which a Sink is to get them.
type Source interface {
	Objects(backup string) ([]Object, error)
	OpenObject(name string) (io.ReadCloser, error)
}

// Sink is where copies are brought back to. PutObject must read r to its end and keep nothing when that fails: the end is an error
// when the content is not that of o. A Sink that also has HasObject is not given what it has.
type Sink interface {
	PutObject(ctx context.Context, o Object, r io.Reader) error
}

// Progress hears about bytes done and to do, as they go over the line. It is called from one goroutine, often; nil is allowed.
type Progress func(done, total int64)

// hint pairs a kind of failure with what a person can do.
var hints = []struct {
	kind error
	hint string
}{
	{ErrPassphrase, "type the passphrase of the backup key again"},
	{ErrWrongKey, "ask the central team for the backup key that was in use then (keys/backup.key of the fleet)"},
	{ErrKey, "ask the central team: dhowctl key backup --show prints the public key, keys/backup.key is the secret one"},
	{ErrSpec, "a place is a folder such as /media/usb/dhow, or s3://HOST/BUCKET"},
	{ErrNoPlace, "plug in the stick, or mark a new place once: dhow backup export --to PLACE"},
	{ErrDenied, "check DHOW_S3_ACCESS_KEY and DHOW_S3_SECRET_KEY in site.env, the clock, and for a stick its write protection"},
	{ErrFull, "make room at the place, or use a larger stick"},
	{ErrUnreachable, "check the line or the stick; dhow tries again by itself"},
	{ErrNewer, "install the newest dhow on this computer"},
	{ErrDamaged, "use another copy, or copy the backup again from the site that made it"},
	{ErrOther, "use the copy of this site; nothing was changed"},
	{ErrNoCopy, "check the name of the site and of the backup"},
	{ErrSource, "check the backup at this site: dhow backup verify"},
}

// Hint says what to do about an error of this package; "" when it knows nothing better than the error.
func Hint(err error) string {
	for _, h := range hints {
		if errors.Is(err, h.kind) {
			return h.hint
		}
	}
	return ""
}
