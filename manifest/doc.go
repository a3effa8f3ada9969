// Package manifest holds the signed documents of a fleet: releases (Release) and who runs which of them (Fleet).
//
// It is pure: it reads and writes bytes, opens no file, asks no network and knows no clock. It promises that a document that
// ParseRelease or ParseFleet returns is within its limits (size, nesting, number of parts) and consistent in itself: versions
// are normalised, paths stay in their folder, digests are well formed, every service that is spoken of has an image, every site
// has a ring. Whoever holds such a document need not check these again. It does not say who made a document: that is the work
// of package manifest/trust. Making release documents is the work of manifest/author, signing that of manifest/sign.
//
// A release travels as plain JSON, at most MaxRelease bytes; a fleet as several zstd-compressed JSON documents (FleetFiles), at most
// MaxFleet bytes unpacked, of which a site of a large fleet reads what concerns it. All begin with a format number. Fields that this
// code does not know are ignored, a newer format is refused with ErrNewer.
package manifest
