package pki

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSaveAndLoad(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	if _, err := Load(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("nothing there: %v", err)
	}
	ca, _ := newToken()
	c := must(SelfIssue(ca, "n1", t0))
	if err := c.Save(dir); err != nil {
		t.Fatal(err)
	}
	got := must(Load(dir))
	if got.Name != "n1" || got.GroupID != ca.GroupID || !bytes.Equal(got.CertDER, c.CertDER) || !got.Key().Equal(c.Key()) || !got.Expires().Equal(c.Expires()) {
		t.Errorf("got %v, want %v", got, c)
	}
	if back, err := got.CA(); err != nil || !bytes.Equal(back.KeyDER, ca.KeyDER) {
		t.Errorf("CA lost: %v", err)
	}
	// Again without the authority's key, over a leftover that is a link and readable by others.
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, filepath.Join(dir, credentialsFile+".tmp")); err != nil {
		t.Fatal(err)
	}
	if err := c.WithoutCAKey().Save(dir); err != nil {
		t.Fatal(err)
	}
	if back, err := must(Load(dir)).CA(); back != nil || err != nil {
		t.Errorf("the CA key is still there: %v, %v", back, err)
	}
	if b := must(os.ReadFile(victim)); string(b) != "x" {
		t.Error("the key went through a link")
	}
	entries := must(os.ReadDir(dir))
	if len(entries) != 1 || must(entries[0].Info()).Mode() != 0o600 {
		t.Errorf("want node.pem of mode 0600 alone, got %v", entries)
	}
}

func TestSaveFails(t *testing.T) {
	ca, _ := newToken()
	c := must(SelfIssue(ca, "n1", t0))
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.Save(file); err == nil {
		t.Error("saves into a file")
	}
}

func TestLoadRefuses(t *testing.T) {
	ca, _ := newToken()
	other, _ := newToken()
	c := must(SelfIssue(ca, "n1", t0))
	d := must(SelfIssue(other, "n1", t0))
	good := string(must(c.encode()))
	block := func(c *Credentials, kind string) string {
		text := string(must(c.encode()))
		i := strings.Index(text, "-----BEGIN "+kind+"-----")
		end := "-----END " + kind + "-----\n"
		return text[i : i+strings.Index(text[i:], end)+len(end)]
	}
	for name, text := range map[string]string{
		"empty":           "",
		"garbage":         "\x00\x01garbage",
		"cut":             good[:len(good)/3],
		"no key":          block(c, pemCert) + block(c, pemCA),
		"other key":       block(d, pemKey) + block(c, pemCert) + block(c, pemCA),
		"other CA":        block(c, pemKey) + block(c, pemCert) + block(d, pemCA),
		"other CA key":    block(c, pemKey) + block(c, pemCert) + block(c, pemCA) + block(d, pemCAKey),
		"twice":           good + block(c, pemKey),
		"large":           good + strings.Repeat("\n", maxCredentials),
		"flipped":         strings.Replace(good, "MC4C", "MC5C", 1),
		"CA as node cert": block(c, pemKey) + strings.ReplaceAll(block(c, pemCA), pemCA, pemCert) + block(c, pemCA),
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, credentialsFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "node.pem") {
			t.Errorf("%s: %v, want an error that names the file", name, err)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, credentialsFile), []byte(good), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, credentialsFile), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("readable by others: %v", err)
	}
}

func FuzzDecodeCredentials(f *testing.F) {
	ca, _ := newToken()
	f.Add(must(must(SelfIssue(ca, "n1", t0)).encode()))
	f.Fuzz(func(t *testing.T, text []byte) {
		if c, err := decodeCredentials(text); err == nil && c.Name == "" {
			t.Error("credentials without a name")
		}
	})
}
