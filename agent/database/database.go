// Package database dumps database servers that run in containers, counts their rows and asks them questions.
//
// The server's own client runs inside its container through an Exec that the caller gives. The password is read inside the
// container and handed to the client on its standard input: it is in no argument list, no error and no log.
package database

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// Exec runs a command inside a container: its standard output goes to stdout, what it wrote to standard error comes back
// bounded. Stdin is closed after its last byte. An err says that the command could not be run or watched to its end; a command
// that failed has an exit code.
type Exec func(ctx context.Context, container string, cmd []string, stdin io.Reader, stdout io.Writer) (exit int, stderr string, err error)

// Server is a database server in a container. Engine is mariadb or mysql. PasswordEnv names the variable inside the container
// that holds the password; PasswordEnv with _FILE appended may name a file instead. It is empty when User needs none. Databases
// empty means all but the system's.
type Server struct {
	Service, Container, Engine, User, PasswordEnv string
	Databases                                     []string
}

// Progress hears about bytes done and to do. It is called from one goroutine, often; nil is allowed. When total is 0 it is not
// known.
type Progress func(done, total int64)

// Dump is a finished dump of a database server: a zstd-compressed SQL script. File is its name without a folder, Bytes its
// length and SHA256 the digest (hex) of the compressed file.
type Dump struct {
	Service   string   `json:"service"`
	Engine    string   `json:"engine"`
	File      string   `json:"file"`
	Bytes     int64    `json:"bytes"`
	SHA256    string   `json:"sha256"`
	Databases []string `json:"databases"`
}

var (
	// ErrNoPassword means that the container has no value for the variable that should hold the password.
	ErrNoPassword = errors.New("there is no password")
	// ErrPassword means that the server refuses user or password.
	ErrPassword = errors.New("the database server refuses user or password")
	// ErrNotAnswering means that the database server is not running or not ready.
	ErrNotAnswering = errors.New("the database server does not answer")
	// ErrNoClient means that the container has no client program of the engine.
	ErrNoClient = errors.New("there is no database client in the container")
	// ErrNoDatabases means that the server holds no database but the system's.
	ErrNoDatabases = errors.New("the server holds no databases")
)

// checkName keeps dumps inside their folder.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || len(name) > 200 || strings.ContainsAny(name, "/\\\x00") || !filepath.IsLocal(name) {
		return fmt.Errorf("%q cannot be the name of a dump", name)
	}
	return nil
}

// meter adds up progress.
type meter struct {
	tell        Progress
	done, total int64
}

func (m *meter) add(n int64) {
	m.done += n
	if m.tell != nil {
		m.tell(min(m.done, m.total), m.total)
	}
}
