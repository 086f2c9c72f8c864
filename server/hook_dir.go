package server

import (
	"fmt"
	"os"
	"path/filepath"
)

// checkHookDir refuses a directory from which somebody else could have this node run what they like.
func checkHookDir(dir string) error {
	if dir == "" {
		return nil
	}
	if !filepath.IsAbs(dir) {
		return fmt.Errorf("%q is not an absolute path", dir)
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%s can be written to by others than its owner (mode %04o), who could have this node run anything: chmod go-w %s", dir, info.Mode().Perm(), dir)
	}
	return nil
}

// maxPrograms bounds how many names of programs a node tells the others.
const maxPrograms = 200

// hookPrograms is what a node has in its hook directory.
type hookPrograms struct {
	// Dir: it was started with one.
	Dir bool `json:"dir"`
	// Names are the programs; Cut: there are more.
	Names []string `json:"names,omitempty"`
	Cut   bool     `json:"cut,omitempty"`
}

// listPrograms looks into the hook directory; empty: there is none.
func listPrograms(dir string) *hookPrograms {
	out := &hookPrograms{Dir: dir != ""}
	if dir == "" {
		return out
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return out // as good as empty: nothing in it can be run
	}
	for _, f := range files {
		switch {
		case !executable(dir, f.Name()):
		case len(out.Names) == maxPrograms:
			out.Cut = true
			return out
		default:
			out.Names = append(out.Names, f.Name())
		}
	}
	return out
}

// executable tells whether a directory has a program of this name.
func executable(dir, name string) bool {
	if name != filepath.Base(name) || name == "" || name[0] == '.' {
		return false
	}
	info, err := os.Stat(filepath.Join(dir, name))
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}
