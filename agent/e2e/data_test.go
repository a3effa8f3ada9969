//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Data is the fingerprint of a site's data: "table NAME" to its CHECKSUM TABLE, "file VOLUME/PATH" to mode, owner and SHA-256.
type Data map[string]string

// same fails the test for every table and file that is not the same.
func (d Data) same(t testing.TB, other Data, what string) {
	t.Helper()
	if len(d) == 0 {
		t.Fatalf("%s: nothing to compare", what)
	}
	keys := map[string]bool{}
	for k := range d {
		keys[k] = true
	}
	for k := range other {
		keys[k] = true
	}
	wrong := 0
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if d[k] != other[k] {
			if wrong++; wrong <= 10 {
				t.Errorf("%s: %s was %q, is %q", what, k, d[k], other[k])
			}
		}
	}
	if wrong > 10 {
		t.Errorf("%s: %d differences in all", what, wrong)
	}
}

// data reads the fingerprint past the application: from the database server and the volumes' folders.
func (s *Site) data() Data {
	s.t.Helper()
	d := Data{}
	if s.stack.name != "clinic" {
		files(s.t, d, "ledger-data", s.volume("ledger-data"))
		return d
	}
	files(s.t, d, "clinic-data", s.volume("clinic-data"))
	names := lines(s.sql("show tables"))
	if len(names) == 0 {
		s.t.Fatal("the database has no tables")
	}
	for _, line := range lines(s.sql("checksum table `" + strings.Join(names, "`, `") + "`")) {
		name, sum, _ := strings.Cut(line, "\t")
		d["table "+strings.TrimPrefix(name, "openmrs.")] = sum
	}
	return d
}

// seen reads the fingerprint that the application itself makes, through the published port.
func (s *Site) seen() Data {
	s.t.Helper()
	resp, err := s.browser().Get(s.url("/checksum"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	d := Data{}
	if err := json.NewDecoder(resp.Body).Decode(&d); err != nil {
		s.t.Fatalf("%s: %v", resp.Status, err)
	}
	return d
}

// sql runs a query in the database container and answers its rows, columns separated by tabs.
func (s *Site) sql(query string) string {
	s.t.Helper()
	return s.docker("exec", s.container("db"), "sh", "-c",
		`MYSQL_PWD="$MYSQL_ROOT_PASSWORD" exec mariadb --user=root --skip-column-names "$MYSQL_DATABASE" --execute "$0"`, query)
}

// rows fingerprints columns that releases have in common, row by row.
func (s *Site) rows(table, columns string) string {
	s.t.Helper()
	return s.sql(fmt.Sprintf("select count(*), sum(conv(left(md5(concat_ws('|', %s)), 12), 16, 10)) from %s", columns, table))
}

// container is the id of a service's container.
func (s *Site) container(service string) string {
	s.t.Helper()
	for _, c := range s.containers() {
		if c.Service == service {
			return c.ID
		}
	}
	s.t.Fatalf("service %s has no container", service)
	return ""
}

// files adds the fingerprints of all files below dir.
func files(t testing.TB, d Data, volume, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		text := fmt.Sprintf("%s %s", info.Mode(), owner(info))
		if e.Type().IsRegular() {
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			sum := sha256.New()
			if _, err := io.Copy(sum, f); err != nil {
				return err
			}
			text = fmt.Sprintf("%s %s %x", text, info.ModTime().UTC().Format(time.RFC3339Nano), sum.Sum(nil))
		}
		d["file "+volume+"/"+filepath.ToSlash(rel)] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// post sends something to the application as a user does.
func (s *Site) post(path, body string) {
	s.t.Helper()
	resp, err := s.browser().Post(s.url(path), "application/json", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		s.t.Fatalf("POST %s: %s %s", path, resp.Status, text)
	}
}
