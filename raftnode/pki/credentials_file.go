package pki

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/holdfast-lb/holdfast/storage/durable"
)

// One file rather than three: key, certificate and authority change together or not at all, even when the machine
// stops in the middle.
const (
	credentialsFile = "node.pem"
	maxCredentials  = 64 << 10

	pemKey   = "PRIVATE KEY"
	pemCert  = "CERTIFICATE"
	pemCA    = "HOLDFAST CA CERTIFICATE"
	pemCAKey = "HOLDFAST CA PRIVATE KEY"
)

// DamagedError says that the file with a node's key and certificates is not what Save wrote.
type DamagedError struct {
	Path string
	Err  error // what does not fit; it quotes nothing of the file
}

// Error names the file and what to do.
func (e *DamagedError) Error() string {
	return fmt.Sprintf("%s: %v; restore the file from a backup, or remove the node and let it join again", e.Path, e.Err)
}

// Unwrap gives what does not fit.
func (e *DamagedError) Unwrap() error { return e.Err }

// Save writes the credentials into dir (made with mode 0700 when absent) as node.pem, mode 0600. Either the old file or
// the new one is there afterwards, and the new one is on the disk when Save returns nil.
func (c *Credentials) Save(dir string) error {
	text, err := c.encode()
	if err != nil {
		return fmt.Errorf("save node credentials: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("save node credentials: %w", err)
	}
	path := filepath.Join(dir, credentialsFile)
	if err := writeFileSync(path+".tmp", text); err != nil {
		return fmt.Errorf("save node credentials: %w", err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("save node credentials: %w", err)
	}
	if err := durable.SyncDir(dir); err != nil {
		return fmt.Errorf("save node credentials: %w", err)
	}
	return nil
}

// Load reads what Save wrote. The error wraps fs.ErrNotExist when there is nothing, is a *DamagedError when
// the file is damaged, and plain about one that others can read.
func Load(dir string) (*Credentials, error) {
	path := filepath.Join(dir, credentialsFile)
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("load node credentials: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("load node credentials: %w", err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("load node credentials: %s has mode %04o, so others can read the node's key; run: chmod 600 %s", path, st.Mode().Perm(), path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxCredentials+1))
	if err != nil {
		return nil, fmt.Errorf("load node credentials: %w", err)
	}
	c, err := decodeCredentials(text)
	if err != nil {
		return nil, fmt.Errorf("load node credentials: %w", &DamagedError{path, err})
	}
	return c, nil
}

func (c *Credentials) encode() ([]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(*c.key)
	if err != nil {
		return nil, err
	}
	var text []byte
	for _, b := range []pem.Block{{Type: pemKey, Bytes: key}, {Type: pemCert, Bytes: c.CertDER}, {Type: pemCA, Bytes: c.CADER}, {Type: pemCAKey, Bytes: c.CAKeyDER}} {
		if len(b.Bytes) > 0 {
			text = append(text, pem.EncodeToMemory(&b)...)
		}
	}
	return text, nil
}

func decodeCredentials(text []byte) (*Credentials, error) {
	if len(text) > maxCredentials {
		return nil, fmt.Errorf("larger than %d bytes", maxCredentials)
	}
	blocks := map[string][]byte{}
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil {
			break
		}
		if _, twice := blocks[b.Type]; twice {
			return nil, errors.New("damaged: a block is there twice")
		}
		blocks[b.Type] = b.Bytes
	}
	if len(blocks[pemKey]) == 0 || len(blocks[pemCert]) == 0 || len(blocks[pemCA]) == 0 {
		return nil, errors.New("damaged or cut off: key, certificate or CA is missing")
	}
	key, err := parseKey(blocks[pemKey])
	if err != nil {
		return nil, err
	}
	c, err := NewCredentials(blocks[pemCert], ed25519.PrivateKey(key), blocks[pemCA])
	if err != nil {
		return nil, err
	}
	c.CAKeyDER = blocks[pemCAKey]
	if _, err := c.CA(); err != nil {
		return nil, err
	}
	return c, nil
}

// writeFileSync makes a new file that only the owner can read. A leftover of an earlier crash goes first, so that its
// mode and any link under its name do not matter.
func writeFileSync(path string, text []byte) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(text); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
