// Package pack writes what sites read: bundles (a folder or one file), published folders for a web server, and OCI repositories.
//
// It promises that nothing half-written looks whole: a bundle file appears under its name when it is complete, one in parts
// (bundle/split) with its sums, and in a published folder
// or repository blobs come first and the signed timestamp, or the tag "manifest", last. What is there already is not written again.
// It removes nothing that sites may still read, and lets one publisher at a time into a place (see Claim). It writes exactly what it is
// given: signing and the choice of releases are left to its callers, reading to bundle/fetch. The layout is that of package bundle.
package pack
