// Package ladder gets the layers of a release over the fewest bytes.
//
// A layer that is missing can be had in several ways, its rungs: by a delta from an image that is here (bundle/delta), by two deltas one
// after the other, whole as zstd, or as the image carries it. All their sizes are signed, so Make chooses for all layers together by
// the bytes that have still to move, before the first of them moves, and says how much disk that takes; a disk that can't take it gets
// rungs that need less, those that cost the fewest bytes more. Run does it: near sources first, with whatever form of a layer they have, then the rungs of the plan from the others.
//
// It promises that a layer is in the store only when its content is the one that its diff ID names, whichever way it came; that a
// delta which does not fit, is damaged or is not there costs its own bytes and the next rung is taken, which is reported; and that
// nothing is left behind but the layers, and parts of what is still to be fetched. A Run that was killed is begun again: what it had fetched
// counts, what it was making is made again. While a delta is applied it holds the memory of bundle/delta and no more, while a layer as zstd is
// opened that of a window of 32 MiB and little more; one that needs a larger window is refused as if it were damaged.
//
// It leaves to others what a release is and who has signed it, when to fetch and how much (Gate in fetch.Options), whether more bytes move than
// a roomier disk would need (Job.Dearer), for how long what does not fit is remembered (Setback.Lasting, which is only said of what came as it
// was signed; Query.Refused), and when layers are removed that no release needs any more. What the disk was too full to use stays for the next Run.
//
// # Base
//
// The bytes of a base come from the store, a layer that is carried compressed being unpacked to a temporary file, or else from the
// archive that the engine gives of the image (docker save): what is in it is known by its digest, not by its name. Bases vanish (somebody
// runs docker image prune): then the next rung is taken.
//
// # Disk
//
// Temporary files are in the folder "ladder" of the store. It is removed when Run begins and when it ends, and by Clean.
package ladder
