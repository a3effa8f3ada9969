// Package serve gives the releases that are at one place to other sites: over HTTP, read-only, in the layout of package bundle, so that a
// neighbour's source is an ordinary web folder.
//
// It promises that nothing leaves but signed documents, of a bundle or a folder those that were verified when it was opened and are the same
// still, and content that a signed document known here names: files, configs and layers of releases, as carried or plain, and the ways to
// them. Nothing is listed, nothing is written, and a path is never a path of this computer: it is looked up. Content is read whole and compared
// once before the first byte of it leaves, so that a neighbour does not begin a blob that can't be finished; when it changes or goes in the
// middle the answer breaks off. Who asks is bounded: connections, transfers at once, requests, and how slowly
// somebody may read, piece by piece and on the whole. The one whose turn does not come is told to come again (503, Retry-After).
//
// What it gives away is public to the network that it listens on. It says nothing of the site itself but which documents and content are here.
// Trust is the neighbour's business.
package serve
