package raftnode

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/holdfast-lb/holdfast/raftnode/pki"
	"github.com/holdfast-lb/holdfast/storage/durable"
)

const (
	pendingKeyFile = "join-key.pem"
	pendingKeyPEM  = "PRIVATE KEY"
)

// pendingKey gives the key of a node that has asked for a certificate but not got it yet, and makes it at the first start.
// Mode 0600, on disk before it is used.
func pendingKey(dir string) (ed25519.PrivateKey, error) {
	path := filepath.Join(dir, pendingKeyFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makePendingKey(dir, path)
	}
	if err != nil {
		return nil, fmt.Errorf("read join key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != pendingKeyPEM {
		return nil, fmt.Errorf("%s is damaged: remove it and use a new join token", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	ed, ok := key.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("%s is damaged: remove it and use a new join token", path)
	}
	return ed, nil
}

func makePendingKey(dir, path string) (ed25519.PrivateKey, error) {
	key, err := pki.NewKey()
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("write join key: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("write join key: %w", err)
	}
	tmp, err := os.CreateTemp(dir, pendingKeyFile+".*.tmp") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("write join key: %w", err)
	}
	_, err = tmp.Write(pem.EncodeToMemory(&pem.Block{Type: pendingKeyPEM, Bytes: der}))
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err == nil {
		err = durable.SyncDir(dir)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return nil, fmt.Errorf("write join key: %w", err)
	}
	return key, nil
}

// dropPendingKey is called when the key is in the node's credentials.
func dropPendingKey(dir string) error {
	if err := os.Remove(filepath.Join(dir, pendingKeyFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove join key: %w", err)
	}
	return nil
}
