package sun

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/migrate/build"
	"github.com/holdfast-lb/holdfast/migrate/golden"
)

var fixtures = map[string]Options{
	"sun09.xml": {}, "sun15.xml": {Lenient: true}, "sun29.xml": {}, "sun40.xml": {}, "sun41.xml": {}, "full.xml": {PolicyFallback: "round-robin"},
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func good(t *testing.T, name string) *build.Result {
	t.Helper()
	opt := fixtures[name]
	opt.File = name
	return golden.Good(t, Import(read(t, name), opt))
}

func TestGolden(t *testing.T) { // SUN-06, SUN-40, SUN-42
	for name := range fixtures {
		golden.Compare(t, strings.TrimSuffix(name, ".xml"), good(t, name))
	}
}

func TestEverythingIsReportedOnce(t *testing.T) {
	for name := range fixtures {
		golden.Once(t, good(t, name).Report, golden.XML(string(read(t, name))))
	}
}
