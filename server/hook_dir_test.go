package server

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestProgramsOfANode: a node names what workflows could run on it, and nothing else.
func TestProgramsOfANode(t *testing.T) {
	if p := listPrograms(""); p.Dir || p.Names != nil || p.Cut {
		t.Errorf("without a directory: %+v", p)
	}
	if p := listPrograms(filepath.Join(t.TempDir(), "gone")); !p.Dir || p.Names != nil {
		t.Errorf("gone: %+v", p)
	}
	dir := t.TempDir()
	write := func(name string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	write("deploy", 0o755)
	write("notes", 0o644)
	write(".hidden", 0o755)
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("deploy", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if p := listPrograms(dir); !p.Dir || !slices.Equal(p.Names, []string{"deploy", "link"}) || p.Cut {
		t.Errorf("%+v", p)
	}
	for i := range maxPrograms {
		write(fmt.Sprintf("p%03d", i), 0o755)
	}
	if p := listPrograms(dir); len(p.Names) != maxPrograms || !p.Cut {
		t.Errorf("%d names, cut %t", len(p.Names), p.Cut)
	}
}
