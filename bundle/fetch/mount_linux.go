package fetch

import "golang.org/x/sys/unix"

// networkFS are the kinds of file systems, as statfs says them, that are on another computer (linux/magic.h). FUSE is not among them: most
// sticks with NTFS are mounted by it.
var networkFS = map[uint32]bool{0x6969: true, 0xff534d42: true, 0xfe534d42: true, 0x517b: true, 0x01021997: true} // nfs, cifs, smb2, smb, 9p

// pathDistance is LAN for what another computer of the building gives, and Local for disks and sticks.
func pathDistance(path string) Distance {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err == nil && networkFS[uint32(fs.Type)] {
		return LAN
	}
	return Local
}
