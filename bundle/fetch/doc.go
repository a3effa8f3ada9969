// Package fetch brings blobs and signed documents from wherever they are: an OCI repository, a web folder, a folder, a bundle file, whole or in
// parts (bundle/split), or a file of docker save.
//
// It promises that what it puts into the store is verified, that a transfer goes on at the byte where it was cut (after a restart
// too, and from whichever source then answers), that a kill costs less than 1 MB, and a beginning that was damaged on the disk only what
// stands behind the damage, that no more transfers run side by side than bring more, that an archive is read once and in constant
// memory, that servers are asked over TLS also while the computer has lost the time (see Network.WithClock), that a line which has gone silent is given up, and that everything that
// comes from outside is bounded before it is kept. It leaves trust in documents to manifest/trust, and the decision when to try again later
// to its caller: every failure to reach a source wraps bundle.ErrUnreachable, wrong bytes wrap bundle.ErrDamaged, a full disk stays
// syscall.ENOSPC.
package fetch
