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
var namePattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9_-])?$`)

// filePattern is what files at a place may be called.
var filePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,253}$`)

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

// checkObjectName takes names with folders, as "packs/NAME".
func checkObjectName(name string) error {
	for _, part := range strings.Split(name, "/") {
		if err := checkName("the object's name", part); err != nil {
			return err
		}
	}
	if len(name) > 160 {
		return fmt.Errorf("the object's name %.40q is too long", name)
	}
	return nil
}

// flat is an object's name without folders.
func flat(name string) string { return strings.ReplaceAll(name, "/", "_") }

// objectPath is where an object stands, encrypted to key: another content or another key makes it another file.
func objectPath(site string, o Object, key string) string {
	sum := sha256.Sum256([]byte(key + "\n" + o.SHA256))
	return path.Join(site, objectsDir, flat(o.Name)+"."+hex.EncodeToString(sum[:6])+cryptExt)
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
	return name, ok && filePattern.MatchString(name)
}

// localPath reports whether p is a clean relative path of safe names, as a Place takes and lists.
func localPath(p string) bool {
	for _, part := range strings.Split(p, "/") {
		if !filePattern.MatchString(part) {
			return false
		}
	}
	return true
}
