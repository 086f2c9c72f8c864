package server

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/storage"
)

// TestDamagedKeys: a node whose key or certificate is damaged does not start, and says so as of all damage on its disk; so does who verifies the directory. What can be read without them is read.
func TestDamagedKeys(t *testing.T) {
	g := startGroup(t, 1)
	g.configure(t, "http://127.0.0.1:1")
	g.down(t, 0)
	c := g.servers[0].config
	path := filepath.Join(c.DataDir, "tls", "node.pem")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := VerifyDisk(c.DataDir); err != nil {
		t.Fatalf("whole keys: %v", err)
	}
	for name, bad := range map[string][]byte{
		"a flipped letter": bytes.Replace(good, []byte("M"), []byte("m"), 1), "cut off": good[:len(good)/2], "empty": nil, "something else": []byte("no keys"), "zeroes": make([]byte, len(good)),
	} {
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := New(c, g.out)
		for what, err := range map[string]error{"start": err, "verify": VerifyDisk(c.DataDir)} {
			var damaged *storage.CorruptError
			if !DiskInDoubt(err) || !errors.As(err, &damaged) || damaged.Path != path || !strings.Contains(err.Error(), "let the node join again") {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
		if d, err := OpenDisk(c.DataDir, "test", time.Now()); err != nil {
			t.Errorf("%s: the state cannot be saved: %v", name, err)
		} else if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := VerifyDisk(c.DataDir); err != nil {
		t.Errorf("keys that are elsewhere: %v", err)
	}
	if _, err := New(c, g.out); err == nil || DiskInDoubt(err) {
		t.Errorf("without keys: %v", err)
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := New(c, g.out)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}
