package fetch

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"dhow/bundle"
)

// maxCertificates bounds a file with certificates, in bytes.
const maxCertificates = 1 << 20

// certsDir is where Docker looks for what is to be trusted of one registry: HOST[:PORT]/*.crt are authorities beside those of the system,
// NAME.cert with NAME.key are shown to a server that asks who we are.
func certsDir() string {
	if runtime.GOOS == "windows" {
		return filepath.Join(os.Getenv("ProgramData"), "docker", "certs.d")
	}
	return "/etc/docker/certs.d"
}

// private is the transport for an owner with authorities of its own.
type private struct {
	transport *http.Transport
	state     string // of the folder's files when they were read
}

// own is the transport for an owner, HOST[:PORT]: the ordinary one unless there are files for it. They are looked at each time, and read
// again when they have changed: somebody may just be putting them there.
func (n *Network) own(owner string) (*http.Transport, error) {
	dir := filepath.Join(n.certs, filepath.FromSlash(owner))
	if owner == "" || strings.ContainsAny(owner, `/\`) || strings.HasPrefix(owner, ".") {
		return n.transport, nil
	}
	entries, err := os.ReadDir(dir)
	if runtime.GOOS == "windows" && errors.Is(err, fs.ErrNotExist) { // a colon can't stand in a name there
		dir = filepath.Join(n.certs, strings.ReplaceAll(owner, ":", ""))
		entries, err = os.ReadDir(dir)
	}
	if err != nil || len(entries) == 0 {
		return n.transport, nil
	}
	state := ""
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			state += fmt.Sprintln(e.Name(), info.Size(), info.ModTime().UnixNano())
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.privates[owner]; p != nil && p.state == state {
		return p.transport, nil
	}
	t := n.transport.Clone()
	if err := trustAlso(t.TLSClientConfig, dir, entries); err != nil {
		return nil, fmt.Errorf("%w: %w", bundle.ErrUnreachable, err)
	}
	t.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	if n.privates == nil {
		n.privates = map[string]*private{}
	}
	n.privates[owner] = &private{t, state}
	return t, nil
}

// trustAlso reads the files of a folder of Docker's certs.d.
func trustAlso(c *tls.Config, dir string, entries []os.DirEntry) error {
	if c.RootCAs != nil {
		c.RootCAs = c.RootCAs.Clone()
	} else {
		var err error
		if c.RootCAs, err = x509.SystemCertPool(); err != nil { // an image without any
			c.RootCAs = x509.NewCertPool()
		}
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch filepath.Ext(e.Name()) {
		case ".crt":
			pem, err := readCertificates(path)
			if err != nil {
				return err
			}
			if !c.RootCAs.AppendCertsFromPEM(pem) {
				return fmt.Errorf("%s holds no certificate (PEM)", path)
			}
		case ".cert":
			cert, err := readCertificates(path)
			if err != nil {
				return err
			}
			key, err := readCertificates(strings.TrimSuffix(path, ".cert") + ".key")
			if err != nil {
				return err
			}
			pair, err := tls.X509KeyPair(cert, key)
			if err != nil { // the cause may speak of what stands in the key
				return fmt.Errorf("%s and the .key beside it are not a certificate and its key (PEM)", path)
			}
			c.Certificates = append(c.Certificates, pair)
		}
	}
	return nil
}

func readCertificates(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := readLimited(f, maxCertificates)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}
