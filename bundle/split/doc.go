// Package split writes and reads bundles in parts, for sticks whose file system ends at 4 GiB and for sticks that lose bytes.
//
// It promises that a writer that is cut leaves nothing that looks whole (the .sums file comes last), that one that fails leaves the parts
// that were there before, that the bundle is not stored as a whole on the way, and that a reader never returns a byte of a part that has changed: it names the part, or, where there is parity, rebuilds what is
// missing block by block in constant memory, and writes nothing. It reads regular files of one folder only, no links. What the bundle
// holds it leaves to bundle/fetch; nothing here is trusted for more than finding damage.
//
// # Files
//
//	emr.tgz.001 … emr.tgz.999   the bundle's bytes, cut; all but the last are of one length. "cat" in their order joins them
//	emr.tgz.p01 … emr.tgz.p20   parity, of the first part's length; each makes up for one block at the same place of any part
//	emr.tgz.sums                what belongs together, see Sums
//
// Parity is a Cauchy Reed-Solomon code over GF(2^8) with the polynomial 0x11d, as github.com/klauspost/reedsolomon makes it with
// WithCauchyMatrix; parts that are shorter than the first count as filled up with zeros.
package split
