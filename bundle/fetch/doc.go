// Package fetch brings blobs and signed documents from wherever they are: an OCI repository, a web folder, a folder, a bundle file, whole or in
// parts (bundle/split), or a file of docker save.
//
// It promises that what it puts into the store is verified, that a transfer goes on at the byte where it was cut (after a restart
// too, and from whichever source then answers), that a kill costs less than 1 MB, and a beginning that was damaged on the disk only what
// stands behind the damage, that no more transfers run side by side than bring more, that an archive is read once and in constant
// memory, that servers are asked over TLS also while the computer has lost the time (see Network.WithClock), that a line which has gone silent
// is given up, and that everything that comes from outside is bounded before it is kept. It leaves trust in documents to manifest/trust, and the decision when to try again later
// to its caller: every failure to reach a source wraps bundle.ErrUnreachable, wrong bytes wrap bundle.ErrDamaged, a full disk stays
// syscall.ENOSPC. A server that has said when to come back is ErrBusy as well (see Network.Pause).
//
// Servers are spoken to as Docker does: its logins and credential helpers, its folder of authorities, the proxies of the environment. A login
// goes to its registry and to the server for tokens that this names, over TLS unless the registry is spoken to without, and never on to where
// these send us; https never leads to plain http, nor the local network out of the building, and no secret is in an error. What an answer says before its
// first byte (a login page, a wrong length, a range that does not fit) never costs the part of a blob that is here, and
// wrong bytes behind it only when nobody who may have given it can make it whole.
//
// A blob is asked for from its byte on without regard to ETags: its name is its hash, and servers that share a name often tag the same file
// differently. With If-Range each of them would send all of it again.
package fetch
