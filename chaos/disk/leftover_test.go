package disk

import (
	"os"
	"path/filepath"
	"testing"
)

// TestRelease: a disk that a killed harness has left is no obstacle to the next run; other mounts are not touched.
func TestRelease(t *testing.T) {
	for line, want := range map[string]string{
		`42 1 0:52 / /tmp/a\040b/n1-disk rw,nosuid - fuse.holdfast holdfast-chaos rw,user_id=0`: "/tmp/a b/n1-disk",
		`42 1 0:52 / /tmp/n1-disk rw shared:7 - fuse.holdfast holdfast-chaos rw`:                "/tmp/n1-disk",
		`42 1 0:52 / /tmp/n1-disk rw - fuse.sshfs elsewhere rw`:                                 "",
		`42 1 0:52 / /tmp/n1-disk`: "",
		``:                         "",
	} {
		if at := ours(line); at != want {
			t.Errorf("%q: %q", line, at)
		}
	}
	dir := t.TempDir()
	if err := Release(filepath.Join(dir, "nothing")); err != nil {
		t.Error(err)
	}
	if Missing() != nil {
		return // there can be none here
	}
	var left []*Disk
	for _, name := range []string{"one", "two"} {
		d, err := Mount(filepath.Join(dir, name), "n1")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = d.server.Unmount() }() // fails for the one that is gone
		left = append(left, d)
	}
	if err := os.WriteFile(filepath.Join(left[1].Path, "mine"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Release(filepath.Join(dir, "one")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "one")); err != nil {
		t.Errorf("in the way still: %v", err)
	}
	if _, err := os.Stat(filepath.Join(left[1].Path, "mine")); err != nil {
		t.Errorf("another run's: %v", err)
	}
}
