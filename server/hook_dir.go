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
