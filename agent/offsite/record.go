package offsite

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
)

// Format is the newest format of marks, records and lists that this code reads.
const Format = 1

// record is SITE/backups/NAME.age, decrypted.
type record struct {
	Format  int      `json:"format"`
	Site    string   `json:"site"`
	Backup  string   `json:"backup"`
	Key     string   `json:"key"` // the public key that record and objects are encrypted to
	Objects []Object `json:"objects"`
}

// list is SITE/backups/NAME.objects, in clear. Sum guards against a stick's flipped bits, as what no list names may be
// deleted; it is the SHA-256 of the list with an empty Sum.
type list struct {
	record
	Sum string `json:"sum"`
}

var hexPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (r *record) encode() ([]byte, error) { return encode(r) }

func (r *record) list() ([]byte, error) {
	l := list{record: *r}
	var err error
	if l.Sum, err = l.sum(); err != nil {
		return nil, err
	}
	return encode(l)
}

func encode(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("internal error: cannot encode a record: %w", err)
	}
	return append(data, '\n'), nil
}

func (l list) sum() (string, error) {
	l.Sum = ""
	data, err := encode(l)
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), err
}

// parseRecord reads a decrypted record, which is of site's backup or fails with ErrOther.
func parseRecord(data []byte, site, backup string) (*record, error) {
	var r record
	if err := decode(data, &r, &r.Format); err != nil {
		return nil, fmt.Errorf("the record of backup %s: %w", backup, err)
	}
	if r.Site != site || r.Backup != backup {
		return nil, fmt.Errorf("%w: backup %.80q of site %.80q", ErrOther, r.Backup, r.Site)
	}
	if _, err := parseRecipient(r.Key); err != nil {
		return nil, fmt.Errorf("the record of backup %s: %w: it names no key", backup, ErrDamaged)
	}
	if err := checkObjects(r.Objects); err != nil {
		return nil, fmt.Errorf("the record of backup %s: %w: %w", backup, ErrDamaged, err)
	}
	return &r, nil
}

// parseList reads the list of a backup's objects.
func parseList(data []byte, site, backup string) (*list, error) {
	var l list
	if err := decode(data, &l, &l.Format); err != nil {
		return nil, fmt.Errorf("the list of backup %s: %w", backup, err)
	}
	sum, err := l.sum()
	if err != nil || sum != l.Sum || l.Site != site || l.Backup != backup {
		return nil, fmt.Errorf("the list of backup %s: %w", backup, ErrDamaged)
	}
	if err := checkObjects(l.Objects); err != nil {
		return nil, fmt.Errorf("the list of backup %s: %w: %w", backup, ErrDamaged, err)
	}
	return &l, nil
}

// decode reads one JSON document whose format stands at format.
func decode(data []byte, v any, format *int) error {
	if len(data) > maxRecord {
		return fmt.Errorf("%w: it is larger than %d bytes", ErrDamaged, maxRecord)
	}
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return fmt.Errorf("%w: it is not JSON", ErrDamaged)
	}
	if head.Format > Format {
		return fmt.Errorf("%w: format %d", ErrNewer, head.Format)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil || *format < 1 {
		return fmt.Errorf("%w: it does not hold what it should", ErrDamaged)
	}
	return nil
}

// checkObjects says what is wrong with the objects of one backup.
func checkObjects(all []Object) error {
	if len(all) == 0 || len(all) > maxParts {
		return fmt.Errorf("%d objects, between 1 and %d are allowed", len(all), maxParts)
	}
	seen := make(map[string]bool, len(all))
	for _, o := range all {
		if err := checkObjectName(o.Name); err != nil {
			return err
		}
		switch {
		case seen[flat(o.Name)]:
			return fmt.Errorf("object %s is there twice", o.Name)
		case o.Size < 0 || o.Size > maxObject:
			return fmt.Errorf("object %s has %d bytes, at most %d are allowed", o.Name, o.Size, maxObject)
		case !hexPattern.MatchString(o.SHA256):
			return fmt.Errorf("object %s has no SHA-256", o.Name)
		}
		seen[flat(o.Name)] = true
	}
	return nil
}
