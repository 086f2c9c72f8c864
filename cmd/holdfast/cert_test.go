package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/holdfast-lb/holdfast/internal/certtest"
)

// writeCerts puts the files of certificates into the directory of a script: site (chain and key), next (in one file, key first, for fewer names), ca.
func writeCerts(t *testing.T, dir string) {
	t.Helper()
	ca := certtest.NewCA(t, "test root")
	site, next := ca.Intermediate("test intermediate").Server("shop.example", "www.shop.example"), ca.Server("shop.example")
	for name, text := range map[string][]byte{
		"site.pem": site.ChainPEM(), "site.key": site.KeyPEM(), "next.pem": append(next.KeyPEM(), next.ChainPEM()...), "ca.pem": ca.PEM(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
