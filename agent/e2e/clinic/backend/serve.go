package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// app is the running application. db is nil until the database answers; ready once it is migrated and filled.
type app struct {
	files string
	db    atomic.Pointer[sql.DB]
	ready atomic.Bool
}

// start brings database and files to this version.
func (a *app) start(ctx context.Context) error {
	db, err := open(ctx)
	if err != nil {
		return err
	}
	a.db.Store(db)
	if err := os.MkdirAll(a.files, 0o750); err != nil {
		return err
	}
	if err := migrateAndSeed(ctx, db, a.files); err != nil {
		return err
	}
	log.Printf("clinic %s is ready", version)
	a.ready.Store(true)
	return nil
}

// migrateAndSeed makes the tables, fills them on the first start as 1.0.0 does, and migrates what is there.
func migrateAndSeed(ctx context.Context, db *sql.DB, files string) error {
	if err := migrate(ctx, db, files, "1.0.0"); err != nil {
		return err
	}
	if err := seed(ctx, db, files); err != nil {
		return err
	}
	return migrate(ctx, db, files, version)
}

func (a *app) close() error {
	if db := a.db.Load(); db != nil {
		return db.Close()
	}
	return nil
}

func (a *app) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", a.health)
	mux.HandleFunc("GET /release", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, version) })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "<!doctype html><title>Clinic</title><h1>Clinic %s</h1>\n", version)
	})
	mux.HandleFunc("GET /patients", a.whenReady(a.listPatients))
	mux.HandleFunc("POST /patients", a.whenReady(a.addPatient))
	mux.HandleFunc("POST /attachments", a.whenReady(a.addAttachment))
	mux.HandleFunc("GET /checksum", a.whenReady(a.checksum))
	return mux
}

func (a *app) whenReady(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !a.ready.Load() {
			http.Error(w, "the clinic is starting", http.StatusServiceUnavailable)
			return
		}
		next(w, r)
	}
}

// health says that the application works; 1.2.0 never does, although everything before has ended well.
func (a *app) health(w http.ResponseWriter, r *http.Request) {
	switch {
	case !a.ready.Load():
		http.Error(w, "the clinic is starting", http.StatusServiceUnavailable)
	case version == "1.2.0":
		_, err := a.db.Load().ExecContext(r.Context(), "select count(dob_estimated) from patient")
		http.Error(w, fmt.Sprint(err), http.StatusInternalServerError)
	default:
		if err := a.db.Load().PingContext(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "healthy")
	}
}

// patient is one row, with the columns that every release has.
type patient struct {
	ID        int    `json:"id,omitempty"`
	Name      string `json:"name"`
	Gender    string `json:"gender"`
	Birthdate string `json:"birthdate"`
	Village   string `json:"village"`
}

func (a *app) listPatients(w http.ResponseWriter, r *http.Request) {
	rows, err := a.db.Load().QueryContext(r.Context(), "select patient_id, name, gender, birthdate, village from patient"+
		" where name like ? order by patient_id limit 50", "%"+r.FormValue("name")+"%")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer rows.Close()
	list := []patient{}
	for rows.Next() {
		var p patient
		if err := rows.Scan(&p.ID, &p.Name, &p.Gender, &p.Birthdate, &p.Village); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		list = append(list, p)
	}
	answer(w, list, rows.Err())
}

func (a *app) addPatient(w http.ResponseWriter, r *http.Request) {
	p := patient{Name: "Nobody", Gender: "F", Birthdate: "1990-05-04", Village: "Goma"}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&p); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	res, err := a.db.Load().ExecContext(r.Context(), "insert into patient (name, gender, birthdate, village) values (?, ?, ?, ?)",
		p.Name, p.Gender, p.Birthdate, p.Village)
	if err == nil {
		var id int64
		id, err = res.LastInsertId()
		p.ID = int(id)
	}
	answer(w, p, err)
}

// addAttachment stores the body as a file: POST /attachments?patient=1&name=x.jpg.
func (a *app) addAttachment(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query() // not FormValue, which may read the body
	name := "new/" + strings.ReplaceAll(filepath.Base(query.Get("name")), "..", "_")
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 16<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	sum := sha256.Sum256(content)
	if err = writeFile(a.files, name, content); err == nil {
		_, err = a.db.Load().ExecContext(r.Context(), "insert into attachment (patient_id, filename, sha256, bytes) values (?, ?, ?, ?)",
			query.Get("patient"), name, hex.EncodeToString(sum[:]), len(content))
	}
	answer(w, map[string]string{"name": name, "sha256": hex.EncodeToString(sum[:])}, err)
}

// checksum answers CHECKSUM TABLE of every table and the SHA-256 of every attachment, read from the disk.
func (a *app) checksum(w http.ResponseWriter, r *http.Request) {
	sums := map[string]string{}
	err := tables(r.Context(), a.db.Load(), sums)
	if err == nil {
		err = walk(a.files, func(path string, _ int64) error {
			f, err := os.Open(filepath.Join(a.files, path))
			if err != nil {
				return err
			}
			defer f.Close()
			hash := sha256.New()
			if _, err := io.Copy(hash, f); err != nil {
				return err
			}
			sums["file "+path] = hex.EncodeToString(hash.Sum(nil))
			return nil
		})
	}
	answer(w, sums, err)
}

func tables(ctx context.Context, db *sql.DB, sums map[string]string) error {
	rows, err := db.QueryContext(ctx, "select table_name from information_schema.tables where table_schema = database()")
	if err != nil {
		return err
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, name := range names {
		var table, sum string
		if err := db.QueryRowContext(ctx, "checksum table `"+name+"`").Scan(&table, &sum); err != nil {
			return err
		}
		sums["table "+name] = sum
	}
	return nil
}

func answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
