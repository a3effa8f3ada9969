package database

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// Tools that bring the schema of an application up to date, each with a lock of its own.
//
// Liquibase sets LOCKED, LOCKEDBY ("HOST (ADDRESS)") and LOCKGRANTED in the row of its table databasechangeloglock (OpenMRS calls it
// liquibasechangeloglock), and takes them back at its end. Whoever finds the row locked waits for minutes and then fails. A process that was killed
// leaves it locked for ever.
//
// HAPI FHIR (since 6.2) inserts a row with the installed_rank -100 and a random description into fly_hfj_migration, and deletes it at its end. It tries
// for 50 seconds to insert it, and then fails. The row names no host.
//
// Flyway locks nothing that stays: with PostgreSQL it takes an advisory lock, a number that ends with the hash of the table's name, with MariaDB and
// MySQL the named lock "Flyway-HASH"; both end with the connection. What stays of a migration that failed where DDL is in no transaction is a row of
// flyway_schema_history without success, with which it refuses to start until somebody has put the schema right. (Its row with the installed_rank -100,
// which ends by itself after ten minutes, is for other servers only.)
const (
	Liquibase = "liquibase"
	HAPI      = "hapi"
	Flyway    = "flyway"
)

// Lock is what keeps an application from bringing its schema up to date.
type Lock struct {
	Tool     string
	Database string
	Table    string // with its schema in PostgreSQL
	Holder   string // as the tool has written it, or the address of the session that holds it; "" when nothing tells
	Since    string // as it stands in the table, in a zone that nobody knows; "" when nothing tells
	// Failed is the version of a migration that has failed; then nothing is locked.
	Failed string
	// Held is a lock that a session holds now. It ends with it, and can't be released from outside.
	Held bool
	// Sessions are the other connections to the database.
	Sessions []Session

	id  int64  // of the row
	key string // what names the holder there
}

// Session is a connection to a database. Address is that of the client, "" for one in the server's own container. Writes says that it is changing
// something at this moment: it executes something else than a question, or has a transaction in which it has written.
type Session struct {
	Address string
	Writes  bool
}

// lockTables are the tables in which locks may be, in lower case.
var lockTables = map[string]string{
	"databasechangeloglock": Liquibase, "liquibasechangeloglock": Liquibase, "fly_hfj_migration": HAPI, "flyway_schema_history": Flyway, "schema_version": Flyway,
}

// lockNames is the list of them in SQL.
var lockNames = func() string {
	var names []string
	for name := range lockTables {
		names = append(names, "'"+name+"'")
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}()

// hapiRank is the installed_rank of HAPI's lock.
const hapiRank = "-100"

// flywayMagic is "Flyway" in ASCII; the hash of the table's name is added to it.
const flywayMagic = 0x466c79776179

// javaHash is String.hashCode of Java, which the names of Flyway's locks are made of.
func javaHash(s string) (h int32) {
	for _, unit := range utf16.Encode([]rune(s)) {
		h = 31*h + int32(unit)
	}
	return h
}

// Locks lists the locks of a server. It only reads, waits for no table that somebody alters for longer than a few seconds, and takes the locks of
// databases that s leaves out, too.
func Locks(ctx context.Context, exec Exec, s Server) ([]Lock, error) {
	c, err := open(ctx, exec, s)
	if err != nil {
		return nil, fmt.Errorf("cannot look for locks: %w", err)
	}
	list, err := c.locks(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot look for locks: %w", err)
	}
	return list, nil
}

// Release takes a lock of Liquibase or HAPI away that nobody holds any more. It changes nothing, and returns false, when the row is not as it was when
// l was read: then somebody else has taken the lock meanwhile, or released it. Whether somebody needs it is for the caller to judge.
func Release(ctx context.Context, exec Exec, s Server, l Lock) (bool, error) {
	if l.Held || l.Failed != "" || l.Tool == Flyway {
		return false, fmt.Errorf("cannot release the lock in %s: it ends with the session that holds it", l.Table)
	}
	c, err := open(ctx, exec, s)
	if err != nil {
		return false, fmt.Errorf("cannot release the lock in %s: %w", l.Table, err)
	}
	n, err := c.release(ctx, l)
	if err != nil {
		return false, fmt.Errorf("cannot release the lock in %s: %w", l.Table, err)
	}
	return n > 0, nil
}

// lockRow makes a lock of what a row of three fields says: a number, and two texts in hex.
func lockRow(tool, database, table string, row []string) (l Lock, err error) {
	l = Lock{Tool: tool, Database: database, Table: table}
	if l.id, err = number(row[0]); err != nil {
		return l, err
	}
	if l.key, err = unhex(row[1]); err != nil {
		return l, err
	}
	if tool != HAPI { // which writes a random number
		l.Holder = l.key
	}
	l.Since, err = unhex(row[2])
	return l, err
}

// sessionRows makes sessions of rows with an address in hex and 0 or 1.
func sessionRows(rows [][]string) (list []Session, err error) {
	for _, row := range rows {
		address, err := unhex(row[0])
		if err != nil {
			return nil, err
		}
		list = append(list, Session{address, row[1] == "1"})
	}
	return list, nil
}
