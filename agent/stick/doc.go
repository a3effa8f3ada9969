// Package stick notices sticks that people plug in, and a folder into which they copy bundles, and finds the bundles there.
//
// It promises that a place is reported once while it is there and that its visit ends when it is gone, pulled out without a word included; that
// looking is bounded (see Look), opens nothing but folders, and follows no link; and that a place that hangs holds up nothing but its own
// visit. What is in a bundle, and what it is good for, it leaves to its caller. It mounts nothing: that is for the desktop, or for
// systemd-mount and fstab on a computer without one.
//
// A stick is a file system of a block device (FUSE included, as NTFS and exFAT may be) that is mounted at one of the watched places or
// below. The kernel tells of mounts by /proc/self/mountinfo; an agent in a mount namespace of its own sees those that propagate into it, as
// they do under systemd unless the unit says MountFlags=private or PrivateMounts with private propagation.
package stick
