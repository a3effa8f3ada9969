package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

var (
	names    = []string{"Amina", "Baraka", "Chantal", "Didier", "Esther", "Furaha", "Grâce", "Honoré", "Imani", "Joséphine", "Kasongo", "Lukusa"}
	families = []string{"Ilunga", "Kabongo", "Mukendi", "Ngoy", "Tshibanda", "Mwamba", "Kalala", "Banza", "Mutombo", "O'Kemba"}
	villages = []string{"Bukama", "Kolwezi", "Likasi", "Manono", "Kinshasa", "Goma", "Mbandaka"}
	notes    = []string{"fever, two days", "follow-up", "antenatal visit", "vaccination", "cough; no fever", "wound dressing"}
)

// seed fills an empty database: CLINIC_ROWS patients, twice as many visits, CLINIC_MB of attachments. The same settings
// always make the same rows and files.
func seed(ctx context.Context, db *sql.DB, files string) error {
	var patients int
	if err := db.QueryRowContext(ctx, "select count(*) from patient").Scan(&patients); err != nil || patients > 0 {
		return err
	}
	rows, mb := number("CLINIC_ROWS", 20000), number("CLINIC_MB", 30)
	log.Printf("first start: making up %d patients and %d MB of attachments", rows, mb)
	random := rand.New(rand.NewPCG(1, uint64(rows)))
	day := time.Date(2020, 1, 1, 8, 0, 0, 0, time.UTC)
	pick := func(from []string) string { return from[random.IntN(len(from))] }

	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var failed error
	err = insert(ctx, tx, "insert into attachment (patient_id, filename, sha256, bytes) values", 4, mb*4, func(i int) []any {
		name, content := attachment(i, random)
		sum := sha256.Sum256(content)
		if e := writeFile(files, name, content); e != nil {
			failed = e
		}
		return []any{i + 1, name, hex.EncodeToString(sum[:]), len(content)}
	})
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	err = insert(ctx, tx, "insert into visit (patient_id, started, note) values", 3, 2*rows, func(i int) []any {
		return []any{1 + i/2, day.Add(time.Duration(i) * 37 * time.Minute).Format(time.DateTime), pick(notes)}
	})
	if err != nil {
		return err
	}
	err = insert(ctx, tx, "insert into patient (name, gender, birthdate, village) values", 4, rows, func(int) []any {
		born := day.AddDate(-random.IntN(80), 0, -random.IntN(365))
		return []any{pick(names) + " " + pick(families), pick([]string{"F", "M"}), born.Format(time.DateOnly), pick(villages)}
	})
	if err != nil {
		return err
	}
	return tx.Commit()
}

// insert writes n rows of the given width, a thousand with each statement.
func insert(ctx context.Context, tx *sql.Tx, head string, width, n int, row func(i int) []any) error {
	const batch = 1000
	one := "(" + strings.Repeat("?,", width-1) + "?)"
	for from := 0; from < n; from += batch {
		to := min(from+batch, n)
		args := make([]any, 0, (to-from)*width)
		for i := from; i < to; i++ {
			args = append(args, row(i)...)
		}
		query := head + strings.Repeat(one+",", to-from-1) + one
		if _, err := tx.ExecContext(ctx, query, args...); err != nil {
			return fmt.Errorf("cannot insert rows: %w", err)
		}
	}
	return nil
}

// attachment makes up a file of 256 KiB, half of it random as a picture is.
func attachment(i int, random *rand.Rand) (name string, content []byte) {
	content = make([]byte, 256<<10)
	for at := 0; at < len(content)/2; at += 8 {
		n := random.Uint64()
		for k := range 8 {
			content[at+k] = byte(n >> (8 * k))
		}
	}
	return fmt.Sprintf("%02d/scan-%04d.jpg", i%16, i), content
}

func writeFile(dir, name string, content []byte) error {
	full := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(full), 0o750); err != nil {
		return err
	}
	return os.WriteFile(full, content, 0o640)
}
