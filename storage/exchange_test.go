package storage

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestExchange(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for _, p := range []string{a, b} {
		if err := os.MkdirAll(p, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(p, "name"), []byte(p), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	done, err := Exchange(a, b)
	if runtime.GOOS != "linux" {
		if done || err == nil {
			t.Errorf("done %v, %v", done, err)
		}
		return
	}
	if !done || err != nil {
		t.Fatal(done, err)
	}
	for p, want := range map[string]string{a: b, b: a} {
		if got, err := os.ReadFile(filepath.Join(p, "name")); err != nil || string(got) != want {
			t.Errorf("%s has %s, %v", p, got, err)
		}
	}
	if done, err := Exchange(a, filepath.Join(dir, "none")); done || err == nil {
		t.Errorf("with one that is not there: done %v, %v", done, err)
	}
	if _, err := os.Stat(filepath.Join(a, "name")); err != nil {
		t.Error(err)
	}
}
