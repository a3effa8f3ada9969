// Package deflate writes deflate streams (RFC 1951) that are equal, bit for bit, to those that zlib writes.
//
// Archives are compared by their bytes, so a program that opens a zip and closes it again must make every choice that the program made
// that wrote it. Nearly all of them (the JDK, Python, Maven, Ant) use zlib, whose choices have stayed the same since version 1.2: which
// matches are looked for and taken, where blocks end, how each is coded, and how codes of equal weight are ordered. This package
// makes the same choices for the levels 1 to 9, the default strategy, a window of 32 KiB and any memLevel.
//
// It promises the bytes that zlib writes when it is given the whole input before it has to slide its window, as it is by callers who
// hand over all data at once, or in pieces whose size divides 32 KiB. Other pieces give the same bytes too but for a match at exactly
// the greatest distance. It does not write level 0, other strategies, preset dictionaries or flush points. It holds about 400 KB whatever
// the length of the input. The package is checked against zlib itself, see oracle_test.go; of the streams of Info-ZIP's zip, whose deflate
// is not zlib's, it makes those of small files and most others, see zip_test.go.
package deflate
