package sign

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestBackupKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "fleet")
	if _, err := Init(dir, "drc", []byte("correct horse"), WithWork(4)); err != nil {
		t.Fatal(err)
	}
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, work := range []int{0, backupWork + 1} {
		if _, err := r.NewBackupKey([]byte("another horse"), WithWork(work)); err == nil {
			t.Errorf("work %d is taken", work)
		}
	}
	public, err := r.NewBackupKey([]byte("another horse"), WithWork(4))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.NewBackupKey([]byte("another horse"), WithWork(4)); !errors.Is(err, ErrExists) {
		t.Errorf("a second key: %v", err)
	}
	info, err := os.Stat(r.BackupKeyFile())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	r, err = Open(dir)
	if err != nil || r.Fleet().Fleet().Policy.BackupKey != public {
		t.Errorf("fleet.yaml has %q, %v", r.Fleet().Fleet().Policy.BackupKey, err)
	}
	if again, err := r.openBackupKey([]byte("another horse")); err != nil || again != public {
		t.Errorf("the file holds %q, %v", again, err)
	}
	if _, err := r.openBackupKey([]byte("correct horse")); !errors.Is(err, ErrPassphrase) {
		t.Errorf("error %v", err)
	}
	for name, data := range map[string]string{"nothing": "", "text": "hello", "cut": "-----BEGIN AGE ENCRYPTED FILE-----\nYWdlLWVuY3J5"} {
		if err := os.WriteFile(r.BackupKeyFile(), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := r.openBackupKey([]byte("another horse")); err == nil {
			t.Errorf("%s: taken as a key", name)
		}
	}
}
