package offsite

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"regexp"
	"strings"
)

// Bounds on what is taken from a place, and sent to one.
const (
	maxFiles  = 1_000_000      // files of one site at a place
	maxParts  = 200_000        // objects of one backup
	maxObject = int64(2 << 30) // bytes of one object: FAT and a single PUT take more
	maxRecord = 64 << 20       // bytes of one record
)

const (
	objectsDir = "objects"
	backupsDir = "backups"
	cryptExt   = ".age"
	listExt    = ".objects"
)

// namePattern is what sites, backups and objects may be called: good on FAT, in a bucket, and in a shell.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$`)

func checkName(what, name string) error {
	if !namePattern.MatchString(name) {
		return fmt.Errorf("%s %.40q: letters, digits, dots, dashes and underscores only, at most 128 characters", what, name)
	}
	return nil
}

func checkNames(site, backup string) error {
	if err := checkName("the site's name", site); err != nil {
		return err
	}
	return checkName("the backup's name", backup)
}

// keyID is a short name for a public key.
func keyID(recipient string) string {
	sum := sha256.Sum256([]byte(recipient))
	return hex.EncodeToString(sum[:4])
}

// objectPath is where an object stands that was encrypted to the key with that id.
func objectPath(site, name, key string) string {
	return path.Join(site, objectsDir, name+"."+key+cryptExt)
}

func recordPath(site, backup string) string { return path.Join(site, backupsDir, backup+cryptExt) }
func listPath(site, backup string) string   { return path.Join(site, backupsDir, backup+listExt) }

// inDir returns the name of a file that stands in site's folder dir with that extension.
func inDir(p, site, dir, ext string) (string, bool) {
	name, ok := strings.CutPrefix(p, site+"/"+dir+"/")
	if !ok {
		return "", false
	}
	name, ok = strings.CutSuffix(name, ext)
	return name, ok && namePattern.MatchString(name)
}

// localPath reports whether p is a clean relative path of safe names, as a Place takes and lists.
func localPath(p string) bool {
	for _, part := range strings.Split(p, "/") {
		if len(part) > 255 || !namePattern.MatchString(strings.TrimPrefix(part, ".")) {
			return false
		}
	}
	return !strings.HasPrefix(p, ".")
}
