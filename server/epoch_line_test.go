package server

import (
	"bytes"
	"path/filepath"
	"testing"
)

// TestOneArchiveRestoredTwice: both groups are in the epoch behind the archive's, and their cookies and instances can be told apart.
func TestOneArchiveRestoredTwice(t *testing.T) {
	b := download(t, smallGroup(t).servers[0])
	var lines []uint32
	for range 2 {
		dir := filepath.Join(t.TempDir(), "data")
		if _, err := RestoreArchive(bytes.NewReader(b), Restoration{DataDir: dir, Name: "n1"}); err != nil {
			t.Fatal(err)
		}
		epochs := mustOpenDisk(t, dir)
		if len(epochs) != 1 || epochs[0].Epoch != 2 {
			t.Fatalf("%+v", epochs)
		}
		lines = append(lines, epochs[0].Line)
	}
	if lines[0] == lines[1] || lines[0] == 0 || lines[1] == 0 {
		t.Errorf("lines %v", lines)
	}
}
