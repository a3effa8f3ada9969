package sign

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"

	"dhow/bundle/durable"
)

// backupKeyFile is the secret half of the fleet's backup key: an age identity file, encrypted with a passphrase as age does it.
const backupKeyFile = "keys/backup.key"

// backupWork is the base-2 logarithm of scrypt's N for that file: a second and 256 MiB, as age itself takes. Sites accept no more.
const backupWork = 18

// BackupKeyFile returns the path of the secret backup key.
func (r *Repository) BackupKeyFile() string { return r.path(backupKeyFile) }

// NewBackupKey makes the key that sites encrypt copies of their backups to: the secret half goes into BackupKeyFile, encrypted with pass,
// the public half into fleet.yaml. It fails with ErrExists when the fleet has one; a key that was made and did not get into fleet.yaml is
// opened with pass and put there.
func (r *Repository) NewBackupKey(pass []byte, opts ...Option) (public string, err error) {
	o := options{work: backupWork, now: time.Now()}
	for _, opt := range opts {
		opt(&o)
	}
	if len(pass) == 0 {
		return "", errors.New("cannot make the backup key: the passphrase is empty")
	}
	if o.work < 1 || o.work > backupWork {
		return "", fmt.Errorf("cannot make the backup key: scrypt work %d is out of bounds", o.work)
	}
	if key := r.fleet.Fleet().Policy.BackupKey; key != "" {
		return "", fmt.Errorf("cannot make the backup key: %s %w in fleet.yaml", key, ErrExists)
	}
	public, err = r.openBackupKey(pass)
	if errors.Is(err, fs.ErrNotExist) {
		public, err = r.makeBackupKey(pass, o)
	}
	if err != nil {
		return "", err
	}
	if err := r.fleet.SetBackupKey(public); err != nil {
		return "", err
	}
	return public, r.SaveFleet()
}

func (r *Repository) makeBackupKey(pass []byte, o options) (string, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return "", fmt.Errorf("cannot make the backup key: %w", err)
	}
	to, err := age.NewScryptRecipient(string(pass))
	if err != nil {
		return "", fmt.Errorf("cannot make the backup key: %w", err)
	}
	to.SetWorkFactor(o.work)
	public := id.Recipient().String()
	text := fmt.Sprintf("# created: %s\n# public key: %s\n%s\n", o.now.UTC().Format(time.RFC3339), public, id)
	var out bytes.Buffer
	a := armor.NewWriter(&out)
	w, err := age.Encrypt(a, to)
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err == nil {
		err = errors.Join(w.Close(), a.Close())
	}
	if err != nil {
		return "", fmt.Errorf("cannot make the backup key: %w", err)
	}
	path := r.BackupKeyFile()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("cannot save the backup key: %w", err)
	}
	if err := durable.WriteFile(path, out.Bytes(), 0o600); err != nil {
		return "", fmt.Errorf("cannot save the backup key: %w", err)
	}
	return public, nil
}

// openBackupKey returns the public half of the key in the file.
func (r *Repository) openBackupKey(pass []byte) (string, error) {
	path := r.BackupKeyFile()
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("cannot read the backup key: %w", err)
	}
	defer f.Close()
	id, err := age.NewScryptIdentity(string(pass))
	if err != nil {
		return "", fmt.Errorf("cannot read the backup key: %w", err)
	}
	id.SetMaxWorkFactor(backupWork)
	plain, err := age.Decrypt(armor.NewReader(io.LimitReader(f, maxKey)), id)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return "", fmt.Errorf("cannot open %s: %w", path, ErrPassphrase)
	}
	if err != nil {
		return "", fmt.Errorf("cannot read the backup key %s: %w", path, err)
	}
	keys, err := age.ParseIdentities(io.LimitReader(plain, maxKey))
	if err == nil {
		if key, ok := keys[0].(*age.X25519Identity); ok && len(keys) == 1 {
			return key.Recipient().String(), nil
		}
	}
	return "", fmt.Errorf("cannot read the backup key %s: it does not hold one key", path)
}
