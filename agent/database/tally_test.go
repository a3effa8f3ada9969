package database

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"strings"
	"testing"
	"testing/iotest"
)

const dumpText = "/*M!999999\\- enable the sandbox mode */\n-- Host: localhost\n" +
	"CREATE DATABASE /*!32312 IF NOT EXISTS*/ `clinic` /*!40100 DEFAULT CHARACTER SET utf8mb4 */;\n\nUSE `clinic`;\n" +
	"CREATE TABLE `patient` (\n  `id` int(11) NOT NULL,\n  `INSERT INTO ` text\n) ENGINE=InnoDB;\n" +
	"INSERT INTO `patient` VALUES\n(1,'a),(b'),\n(2,'it\\'s; \\\\'),\n(3,'doubled '' quote'),\n(4,NULL);\n" +
	"INSERT INTO `patient` (`id`, `V``ALUES`) VALUES (5,0xDEADBEEF),(6,_binary 'x\n-- Dump completed\nINSERT INTO `x` VALUES (1)');\n" +
	"DELIMITER ;;\n/*!50003 CREATE TRIGGER x BEGIN\nINSERT INTO `patient` VALUES (7);\nEND */;;\nDELIMITER ;\n" +
	"CREATE TABLE `ta``ble\nwith` (\n`a` int\n);\nINSERT INTO `ta``ble\nwith` VALUES (1);\nCREATE TABLE `empty` (\n`a` int);\n" +
	"CREATE SEQUENCE `s` start with 1;\nDO SETVAL(`s`, 7, 0);\nUSE `a``b`;\nCREATE TABLE `patient` (\n);\nINSERT INTO `patient` VALUES (1,'a),(b');\n"

func TestTally(t *testing.T) {
	whole := newTally()
	_, _ = io.WriteString(whole, dumpText)
	want := map[string]int64{"clinic.patient": 6, "clinic.ta`ble\nwith": 1, "clinic.empty": 0, "a`b.patient": 1}
	if !maps.Equal(whole.rows, want) {
		t.Errorf("rows are %v, want %v", whole.rows, want)
	}
	if len(whole.sums) != 4 || whole.sums["clinic.s"] == 0 {
		t.Errorf("sums are %v", whole.sums)
	}
	// The order of rows is of no matter, everything else is.
	swapped := newTally()
	_, _ = io.WriteString(swapped, strings.Replace(dumpText, "(5,0xDEADBEEF),(6,", "(6,0xDEADBEEF),(5,", 1))
	if maps.Equal(whole.sums, swapped.sums) {
		t.Error("a changed row has the same sum")
	}
	moved := newTally()
	_, _ = io.WriteString(moved, strings.Replace(strings.Replace(dumpText, "(1,'a),(b'),\n", "", 1), "(5,0x", "(1,'a),(b'),(5,0x", 1))
	if !maps.Equal(whole.sums, moved.sums) || !maps.Equal(whole.rows, moved.rows) {
		t.Error("a moved row counts otherwise")
	}
}

// FuzzTally cuts a dump into pieces: the pieces must not matter, whatever it holds.
func FuzzTally(f *testing.F) {
	f.Add([]byte(dumpText), 1)
	f.Add([]byte(dumpText), 13)
	f.Add([]byte("USE `"), 2)
	f.Add([]byte("INSERT INTO `a` VALUES ('\\"), 3)
	f.Add([]byte("DELIMITER\n"), 4)
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		size = 1 + (size%64+64)%64
		whole, pieces := newTally(), newTally()
		_, _ = whole.Write(data)
		for rest := data; len(rest) > 0; rest = rest[min(size, len(rest)):] {
			_, _ = pieces.Write(rest[:min(size, len(rest))])
		}
		if !maps.Equal(whole.rows, pieces.rows) || !maps.Equal(whole.sums, pieces.sums) {
			t.Errorf("as a whole %v %v, in pieces of %d %v %v", whole.rows, whole.sums, size, pieces.rows, pieces.sums)
		}
	})
}

func BenchmarkTally(b *testing.B) {
	data := []byte("USE `a`;\n" + strings.Repeat("INSERT INTO `patient` VALUES "+strings.Repeat("(1234,'Zoë Kabila','2026-11-21 10:00:00',NULL,17.25),", 500)+"(1);\n", 50))
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		_, _ = newTally().Write(data)
	}
}

func TestSplitter(t *testing.T) {
	const text = "rows\nMARK\nbinary MARK MMMARK\nsums\nMARK\nMARK\n"
	for name, wrap := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader} {
		var a, b, c bytes.Buffer
		s := &splitter{mark: []byte("MARK\n"), to: []io.Writer{&a, &b, &c}}
		if _, err := io.Copy(struct{ io.Writer }{s}, wrap(strings.NewReader(text))); err != nil {
			t.Fatal(err)
		}
		if err := s.end(); err != nil || a.String() != "rows\n" || b.String() != "binary MARK MM" || c.String() != "sums\nMARK\nMARK\n" {
			t.Errorf("%s: %q, %q, %q (%v)", name, a.String(), b.String(), c.String(), err)
		}
	}
}

func TestReader(t *testing.T) {
	read := func(text string, list ...Part) (string, error) {
		r := &reader{r: strings.NewReader(text), list: list}
		var all strings.Builder
		for _, name := range []string{"a", "b"} {
			p, err := r.next(name)
			if err != nil {
				return "", err
			}
			data, err := io.ReadAll(p)
			if err = errors.Join(err, p.ended()); err != nil {
				return "", err
			}
			all.WriteString(string(data) + "|")
		}
		return all.String(), r.end()
	}
	if got, err := read("12345", Part{"a", 2}, Part{"b", 3}); got != "12|345|" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for text, list := range map[string][]Part{"1234": {{"a", 2}, {"b", 3}}, "123456": {{"a", 2}, {"b", 3}}, "12": {{"a", 2}}, "12345": {{"b", 5}}} {
		if _, err := read(text, list...); !errors.Is(err, ErrDamaged) {
			t.Errorf("%q as %v: %v", text, list, err)
		}
	}
}

func TestRoles(t *testing.T) {
	first, last := roles(`CREATE ROLE chief;
ALTER ROLE chief WITH SUPERUSER LOGIN PASSWORD 'SCRAM$it''s' VALID UNTIL 'infinity';
CREATE ROLE "a ""b""";
ALTER ROLE "a ""b""" WITH LOGIN PASSWORD 'md5x';
ALTER ROLE chief IN DATABASE odoo SET work_mem TO '5MB';
`, "chief")
	const want = `DO $dhow$ BEGIN CREATE ROLE chief; EXCEPTION WHEN duplicate_object THEN NULL; END $dhow$;
ALTER ROLE chief RESET ALL;
ALTER ROLE chief WITH SUPERUSER LOGIN VALID UNTIL 'infinity';
DO $dhow$ BEGIN CREATE ROLE "a ""b"""; EXCEPTION WHEN duplicate_object THEN NULL; END $dhow$;
ALTER ROLE "a ""b""" RESET ALL;
ALTER ROLE "a ""b""" WITH LOGIN PASSWORD 'md5x';
`
	if first != want || last != "ALTER ROLE chief IN DATABASE odoo SET work_mem TO '5MB';\n" {
		t.Errorf("first:\n%s\nlast:\n%s", first, last)
	}
}

// TestMySQLAccounts has a client answer as MySQL 8 does.
func TestMySQLAccounts(t *testing.T) {
	f := newFake(t)
	f.program("mysql", `case "$*" in
*"version()"*) echo 8.0.39;;
*"mysql.user"*) printf '617070\t25\tN\n6D7973716C2E737973\t6C\tN\n726F6F74\t25\tN\n';;
*"show create user"*) printf 'CREATE USER \140app\140@\140%%\140 IDENTIFIED WITH \047caching_sha2_password\047 AS 0x2441 DEFAULT ROLE \140r\140@\140%%\140 REQUIRE NONE PASSWORD EXPIRE DEFAULT\n';;
*"show grants"*) printf 'GRANT SELECT ON *.* TO app\nGRANT SELECT ON \140a\140.\140b\140 TO app\n';;
*persisted_variables*) printf '6D61785F636F6E6E656374696F6E73\t313033\n73716C5F6D6F6465\t414E5349\n';;
esac`)
	f.program("mysqldump", "exit 0")
	s := server
	s.Engine = "mysql"
	c, err := openMySQL(t.Context(), f.exec, s)
	if err != nil {
		t.Fatal(err)
	}
	create, grant, err := c.accounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const wantCreate = "-- Accounts, by Dhow\nSET SESSION sql_mode = '';\nDROP USER IF EXISTS 'app'@'%';\n" +
		"CREATE USER `app`@`%` IDENTIFIED WITH 'caching_sha2_password' AS 0x2441 REQUIRE NONE PASSWORD EXPIRE DEFAULT;\nGRANT SELECT ON *.* TO app;\n"
	const wantGrant = "\n-- Privileges, by Dhow\nSET SESSION sql_mode = '';\nGRANT SELECT ON `a`.`b` TO app;\n" +
		"ALTER USER `app`@`%` DEFAULT ROLE `r`@`%`;\nSET PERSIST_ONLY `max_connections` = 103;\nSET PERSIST_ONLY `sql_mode` = 'ANSI';\n"
	if create != wantCreate || grant != wantGrant {
		t.Errorf("create:\n%s\ngrant:\n%s", create, grant)
	}
}
