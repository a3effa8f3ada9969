// Package deltas makes the ways to a release at the centre: for each layer that an older release hasn't the delta from its image (package
// bundle/delta), and each layer whole as one zstd stream.
//
// It promises that a delta was applied, and gave the layer, before it counts; that a way is kept only where it saves 5 % and 4 kB against
// the next best form that a site could fetch; that the same releases give the same ways; that a whole layer has a window of
// at most 32 MiB, which is what opening it takes of a site's memory; and that it holds at most 1.5 GB of memory
// whatever the size of the layers. It takes a few times the size of the images on disk meanwhile, in the store's folder, and leaves
// nothing there but what it made. What it found out of a layer is noted at once, so that a Make which was interrupted goes on where it was
// and one that is repeated does next to nothing; what can't be made of certain layers is said once. Several processes may work in one
// store. Who comes from which release is left to its caller, and so is what is signed and published.
//
// # Notes
//
//	store/ways/NAME.json    what was made of one layer (see note); they may be removed, and are made again
package deltas
