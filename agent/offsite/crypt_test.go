package offsite

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// locked is an identity file under a passphrase, as age -p and dhowctl key backup make it.
func locked(t *testing.T, text, pass string, work int, armored bool) string {
	t.Helper()
	to, err := age.NewScryptRecipient(pass)
	if err != nil {
		t.Fatal(err)
	}
	to.SetWorkFactor(work)
	var out bytes.Buffer
	var dst io.Writer = &out
	closing := func() error { return nil }
	if armored {
		a := armor.NewWriter(&out)
		dst, closing = a, a.Close
	}
	w, err := age.Encrypt(dst, to)
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err := errors.Join(err, w.Close(), closing()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestReadIdentities(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	text := "# public key: " + id.Recipient().String() + "\n" + id.String() + "\n"
	errAsked := errors.New("nobody answers")
	pass := func(s string) func() ([]byte, error) { return func() ([]byte, error) { return []byte(s), nil } }
	never := func() ([]byte, error) { t.Error("a passphrase is asked for"); return nil, nil }
	good := locked(t, text, "horse", 4, true)
	for name, test := range map[string]struct {
		data string
		pass func() ([]byte, error)
		want error
		text string
	}{
		"plain":         {data: text, pass: never},
		"armored":       {data: good, pass: pass("horse")},
		"spaces around": {data: "\r\n " + good + "\n\n", pass: pass("horse")},
		"binary":        {data: locked(t, text, "horse", 4, false), pass: pass("horse")},
		"wrong":         {data: good, pass: pass("house"), want: ErrPassphrase, text: "cannot open the file of keys: wrong passphrase"},
		"no passphrase": {data: good, pass: pass(""), want: ErrPassphrase},
		"not answered":  {data: good, pass: func() ([]byte, error) { return nil, errAsked }, want: errAsked},
		"cut":           {data: good[:len(good)/2], pass: pass("horse"), want: ErrKey},
		"costly":        {data: locked(t, text, "horse", 4, false)[:22] + "-> scrypt rF0/NwblUHHTpgQgRpe5CQ 25\n", pass: pass("horse"), want: ErrKey},
		"nothing in it": {data: locked(t, "# empty\n", "horse", 4, true), pass: pass("horse"), want: ErrKey},
		"empty":         {data: "", pass: never, want: ErrKey},
		"a public key":  {data: id.Recipient().String(), pass: never, want: ErrKey},
		"a cut key":     {data: id.String()[:40], pass: never, want: ErrKey},
		"too large":     {data: strings.Repeat("#\n", 40_000), pass: never, want: ErrKey},
		"for a key":     {data: sealedTo(t, id.Recipient(), text), pass: pass("horse"), want: ErrPassphrase},
	} {
		ids, err := ReadIdentities(strings.NewReader(test.data), test.pass)
		if !errors.Is(err, test.want) || err != nil && test.want == nil || test.text != "" && err.Error() != test.text {
			t.Errorf("%s: error %v", name, err)
		}
		if err != nil && (Hint(err) == "" && !errors.Is(err, errAsked) || strings.Contains(err.Error(), "AGE-SECRET")) {
			t.Errorf("%s: error %v, hint %q", name, err, Hint(err))
		}
		if test.want != nil {
			continue
		}
		r, err := decrypting(strings.NewReader(sealedTo(t, id.Recipient(), "content")), ids)
		if err != nil {
			t.Fatal(err)
		}
		if data, err := io.ReadAll(r); err != nil || string(data) != "content" {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	if _, err := decrypting(strings.NewReader("x"), nil); !errors.Is(err, ErrKey) {
		t.Errorf("without a key: %v", err)
	}
}

func sealedTo(t *testing.T, to age.Recipient, text string) string {
	t.Helper()
	r := encrypting(strings.NewReader(text), to)
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Whatever stands in a mark, a record or a list: it is refused, or every name in it is one that a place takes.
func FuzzParse(f *testing.F) {
	to := "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
	r := &record{Format: 1, Site: site, Backup: "b1", Key: to, Objects: []Object{{"packs/p1", 10, strings.Repeat("0a", 32)}}}
	data, err := r.encode()
	if err != nil {
		f.Fatal(err)
	}
	plain, err := r.list()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data, "s3://h/bkt")
	f.Add(plain, "s3://[::1]:9000/bkt/a/b?insecure&region=x")
	f.Add([]byte(`{"format":2}`), "/media/usb")
	f.Add(bytes.Replace(data, []byte("packs/p1"), []byte("../../p1"), 1), "s3://a@h/b")
	f.Fuzz(func(t *testing.T, data []byte, spec string) {
		var all []Object
		if r, err := parseRecord(data, site, "b1"); err == nil {
			all = append(all, r.Objects...)
		}
		if l, err := parseList(data, site, "b1"); err == nil {
			all = append(all, l.Objects...)
		}
		for _, o := range all {
			path := objectPath(site, o, to)
			if !localPath(path) || strings.Count(path, "/") != 2 || o.Size < 0 || o.Size > maxObject {
				t.Errorf("object %+v is taken", o)
			}
		}
		if b, err := parseBucket(spec); err == nil && (b.host == "" || b.name == "" || b.prefix != "" && !localPath(b.prefix)) {
			t.Errorf("%q is taken as %+v", spec, b)
		}
	})
}
