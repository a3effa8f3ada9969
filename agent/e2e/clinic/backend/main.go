// Command backend is the application of the test stack "clinic": patients and visits in MariaDB, attachments as files.
//
// It promises what a real medical record application does to an updater: it migrates the database when it starts (a
// changelog table and a lock row, as Liquibase keeps them), it takes a while until it is healthy, and what it has written
// decides whether an older release can still run. What it does depends on the version that is baked in at build time:
// 1.0.0 is the start; 1.1.0 adds and rewrites columns; 1.2.0 destroys columns, rows and files and then never gets healthy;
// 1.3.0 works again. It is only ever run by tests and by the demo.
//
// Configuration comes from the environment: DB_HOST, DB_NAME, DB_USER, DB_PASSWORD, DATA_DIR, CLINIC_ROWS (patients that the
// first start makes up, twice as many visits), CLINIC_MB (megabytes of attachments). "backend health" is the container's
// health check.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"
)

// version is set by the linker.
var version = "1.0.0"

const address = ":8080"

func main() {
	if len(os.Args) > 1 && os.Args[1] == "health" {
		os.Exit(probe())
	}
	log.SetFlags(log.LUTC | log.Ltime)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

// probe asks the running server for its health, as a health check inside the container.
func probe() int {
	client := http.Client{Timeout: 3 * time.Second}
	resp, err := client.Get("http://127.0.0.1" + address + "/health")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	fmt.Print(string(text))
	if resp.StatusCode != http.StatusOK {
		return 1
	}
	return 0
}

func run(ctx context.Context) error {
	app := &app{files: env("DATA_DIR", "/data")}
	server := &http.Server{Addr: address, Handler: app.routes(), ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 2)
	go func() { failed <- server.ListenAndServe() }()
	go func() {
		if err := app.start(ctx); err != nil && ctx.Err() == nil {
			failed <- err
		}
	}()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(end), app.close())
}

// open connects to the database and waits until it answers.
func open(ctx context.Context) (*sql.DB, error) {
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr = "tcp", env("DB_HOST", "db")+":3306"
	cfg.User, cfg.Passwd, cfg.DBName = env("DB_USER", "openmrs"), os.Getenv("DB_PASSWORD"), env("DB_NAME", "openmrs")
	cfg.MultiStatements = true
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(8)
	for {
		err := db.PingContext(ctx)
		if err == nil {
			return db, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), db.Close())
		case <-time.After(200 * time.Millisecond):
			log.Printf("waiting for the database: %v", err)
		}
	}
}

func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

func number(name string, otherwise int) int {
	n, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		return otherwise
	}
	return n
}
