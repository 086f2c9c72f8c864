// Package built gives the harness's tests the programs that they try: Holdfast as it is, and builds of it with a tag. Each is built once in a test binary's life.
package built

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// dir is where the programs are until the tests are over.
var dir string

// Main runs the tests of a package and removes what was built for them: TestMain calls it. It gives the exit status.
func Main(m *testing.M) int {
	var err error
	if dir, err = os.MkdirTemp("", "holdfast-build-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	return m.Run()
}

// Program is the path of the program under test: HOLDFAST_BIN, or built from this tree.
var Program = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("HOLDFAST_BIN"); path != "" {
		return filepath.Abs(path)
	}
	return build("holdfast")
})

// With gives the path of a build of its own that go build makes with these flags, such as "-tags", "mutants".
func With(name string, flags ...string) func() (string, error) {
	return sync.OnceValues(func() (string, error) { return build("holdfast-"+name, flags...) })
}

func build(name string, flags ...string) (string, error) {
	path := filepath.Join(dir, name)
	arguments := append(append([]string{"build", "-o", path}, flags...), "github.com/holdfast-lb/holdfast/cmd/holdfast")
	output, err := exec.Command("go", arguments...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(arguments, " "), err, output)
	}
	return path, nil
}
