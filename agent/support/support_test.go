package support

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
)

// planted are secrets and data of patients, with the names under which the site knows the former.
var planted = map[string]string{
	"OMRS_DB_PASSWORD": `s3'cret of "#1`, "MYSQL_ROOT_PASSWORD": "r00t$ecret", "SHORT_PIN": "042", "OWNER": "Dr. O'Kemba", "WORD_PASSWORD": "table",
}

var patients = []string{"Amina", "Diallo", "Zoë", "Nguyễn", "1987-03-04", "0812345678", "Mukendi-Tshala", "amina.diallo@example.org", "KIN20/4711"}

// TestNothingPlantedIsLeft takes secrets and names of patients out of what databases, servers and systems say, and leaves what helps.
func TestNothingPlantedIsLeft(t *testing.T) {
	r := NewRedactor(planted, []string{"kin-001", "backend", "emr-db-1", "openmrs", "1.2.0", "registry.example.org/emr/backend:3.2.0"})
	for text, want := range map[string]string{
		`service backend ended with exit code 1: "Duplicate entry 'Amina Diallo' for key 'patient.name'"`:                                       `service backend ended with exit code 1: "Duplicate entry '…' for key '…'"`,
		`ERROR: duplicate key value violates unique constraint "person_pkey" DETAIL: Key (name, born)=(Zoë Nguyễn, 1987-03-04) already exists.`: `ERROR: duplicate key value violates unique constraint "…" DETAIL: Key (name, …)=(…, …) already exists.`,
		`Incorrect date value: '1987-03-04' for column 'birthdate' at row 1`:                                                                    `Incorrect date value: '…' for column '…' at row 1`,
		`Data too long: 0812345678, KIN20/4711, amina.diallo@example.org`:                                                                       `Data too long: …, …/4711, …@…`,
		`container emr-db-1 of kin-001 is unhealthy after 15 min (1.2.0)`:                                                                       `container emr-db-1 of kin-001 is unhealthy after 15 min (1.2.0)`,
		`cannot pull registry.example.org/emr/backend:3.2.0: connection refused`:                                                                `cannot pull registry.example.org/emr/backend:3.2.0: connection refused`,
		`Access denied for user 'root' using password r00t$ecret`:                                                                               `Access denied for user 'root' using password ***`,
		`patient Mukendi-Tshala`: `patient …`,
	} {
		got := r.Text(text)
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
	for _, text := range []string{
		"https://kin-001:geheim99@registry.example.org/x?sig=Abcdef12345", "oci://geheim99@host/x", `{"auth":"Z2VoZWltOTk6Z2VoZWltOTk="}`,
		"Authorization: Bearer geheim99geheim99", "--password=geheim99", `"client_secret": "geheim99"`, "DB_PASSWORD=geheim99", "AGE-SECRET-KEY-1GEHEIM99",
		"-----BEGIN PRIVATE KEY-----\nGeheim99\n-----END PRIVATE KEY-----", "token: geheim99", "eyJhbGciOiJIUzI1NiJ9.geheim99.x",
		"AKIAgeheim99wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY", "s3%27cret+of+%22%231", `s3'cret of \"#1`, "r00t%24ecret", "cjAwdCRlY3JldA==", "Dr. O'Kemba",
	} {
		for _, got := range []string{r.Secrets(text), r.Text(text)} {
			for _, secret := range []string{"eheim99", "EHEIM99", "Abcdef12345", "cret of", "cret+of", "00t", "cjAw", "Kemba", "Z2Vo", "AMPLEKEY"} {
				if strings.Contains(got, secret) {
					t.Errorf("%q becomes %q", text, got)
				}
			}
		}
	}
	data, err := r.JSON(map[string]any{"a": []any{"the name is Amina Diallo", "sha256:" + strings.Repeat("0a", 32)}, "b": map[string]any{"reason": `Key (x)=(Zoë)`}, "n": 7})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range patients {
		if bytes.Contains(data, []byte(p)) {
			t.Errorf("%s is left in %s", p, data)
		}
	}
	if !bytes.Contains(data, []byte("sha256:"+strings.Repeat("0a", 32))) {
		t.Errorf("a digest is gone: %s", data)
	}
}

// TestVocabulary: it is sorted, holds nothing that could be the name of a person, and what Dhow itself says goes through whole.
func TestVocabulary(t *testing.T) {
	list := strings.Fields(vocabularyText)
	if len(list) < 1000 || !slices.IsSorted(list) {
		t.Errorf("%d words, sorted: %v", len(list), slices.IsSorted(list))
	}
	for _, w := range append(strings.Fields(people), "amina", "anna", "diallo", "kemba", "mukendi", "tshilombo") {
		if name := strings.ToUpper(w[:1]) + w[1:]; vocabulary()[name] || vocabulary()[strings.ToUpper(w)] {
			t.Errorf("%s may be a person", name)
		}
	}
	for _, w := range tokens(strings.ToLower(strings.Join(patients, " "))) {
		if vocabulary()[w] {
			t.Errorf("%s is a patient", w)
		}
	}
	r := NewRedactor(nil, nil)
	for _, s := range []string{
		"another change is under way", "cannot open source: source does not answer", "going back to the old release can't finish; it is tried again by itself",
		`msg="change begins or goes on" change=17 kind=apply`, "no space left on device",
	} {
		if got := r.Text(s); got != s {
			t.Errorf("%q becomes %q", s, got)
		}
	}
}

func key(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestSealAndOpen(t *testing.T) {
	id, now := key(t), time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)
	big := make([]byte, 3<<20)
	for i, x := 0, uint32(1); i < len(big); i++ { // what does not compress
		x = x*1664525 + 1013904223
		big[i] = byte(x >> 24)
	}
	parts := []Part{{"README.json", []byte("{}\n")}, {"doctor.json", []byte("[1]\n")}, {"agent.log", big}}
	file, left, err := Seal(parts, id.Recipient().String(), now)
	if err != nil || len(file) > MaxSize || !slices.Equal(left, []string{"agent.log"}) {
		t.Fatalf("%d bytes without %v, %v", len(file), left, err)
	}
	if bytes.Contains(file, []byte("README")) {
		t.Error("it is not encrypted")
	}
	dir := filepath.Join(t.TempDir(), "out")
	names, err := Open(bytes.NewReader(file), []age.Identity{id}, dir)
	if err != nil || !slices.Equal(names, []string{"README.json", "doctor.json"}) {
		t.Fatal(names, err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "doctor.json")); err != nil || string(data) != "[1]\n" {
		t.Errorf("%q, %v", data, err)
	}
	for what, c := range map[string]struct {
		file []byte
		id   age.Identity
		dir  string
		want error
	}{
		"another key":  {file, key(t), "a", ErrOther},
		"cut short":    {file[:len(file)-1], id, "b", ErrDamaged},
		"nothing":      {nil, id, "c", ErrDamaged},
		"too large":    {make([]byte, MaxSize+1), id, "d", ErrLarge},
		"there before": {file, id, "out", os.ErrExist},
	} {
		if _, err := Open(bytes.NewReader(c.file), []age.Identity{c.id}, filepath.Join(filepath.Dir(dir), c.dir)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, _, err := Seal(parts, "age1x", now); !errors.Is(err, ErrKey) {
		t.Error(err)
	}
}

// packed is a tar in zstd with one entry.
func packed(t testing.TB, h *tar.Header, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	if err := w.WriteHeader(h); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestHostileFiles: whoever knows the public key can send the centre anything.
func TestHostileFiles(t *testing.T) {
	for what, h := range map[string]*tar.Header{
		"a path":           {Name: "../../etc/passwd", Typeflag: tar.TypeReg},
		"an absolute path": {Name: "/etc/passwd", Typeflag: tar.TypeReg},
		"a link":           {Name: "a", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink},
		"a folder":         {Name: "a", Typeflag: tar.TypeDir},
		"a hidden file":    {Name: ".bashrc", Typeflag: tar.TypeReg},
		"an escape":        {Name: "\x1b[2Ja", Typeflag: tar.TypeReg},
	} {
		if parts, err := unpack(bytes.NewReader(packed(t, h, nil))); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, %v", what, parts, err)
		}
	}
	bomb := packed(t, &tar.Header{Name: "a", Typeflag: tar.TypeReg, Size: maxPlain + 1}, make([]byte, maxPlain+1))
	if _, err := unpack(bytes.NewReader(bomb)); !errors.Is(err, ErrDamaged) {
		t.Errorf("%d bytes become too many: %v", len(bomb), err)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(packed(f, &tar.Header{Name: "a", Typeflag: tar.TypeReg, Size: 1}, []byte("x")))
	f.Add(packed(f, &tar.Header{Name: "../a", Typeflag: tar.TypeReg}, nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		parts, err := unpack(bytes.NewReader(data))
		for _, p := range parts {
			if err == nil && !plainName(p.Name) {
				t.Errorf("%q", p.Name)
			}
		}
	})
}

func FuzzRedact(f *testing.F) {
	f.Add("Duplicate entry 'Amina Diallo' for key", "geheim")
	f.Add("a://b:c@d?e", "c@d")
	f.Fuzz(func(t *testing.T, text, secret string) {
		r := NewRedactor(map[string]string{"PASSWORD": secret}, nil)
		got := r.Text(text + " Diallo " + secret)
		if strings.Contains(got, "Diallo") {
			t.Errorf("%q", got)
		}
	})
}
