package failpoint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestTheListIsComplete: each constant of points.go is in the list, and each has a Hit somewhere.
func TestTheListIsComplete(t *testing.T) {
	parsed, err := parser.ParseFile(token.NewFileSet(), "points.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]Point{} // by the constant's name
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
			text, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			names[spec.Names[0].Name] = Point(text)
		}
		return true
	})
	if len(names) != len(points) {
		t.Errorf("%d constants, %d in the list", len(names), len(points))
	}
	src := sources(t)
	for name, p := range names {
		if !slices.Contains(points, p) {
			t.Errorf("%s is not in the list", name)
		}
		if !strings.Contains(src, "failpoint.Hit(failpoint."+name+")") {
			t.Errorf("%s: no code gets there", name)
		}
	}
}

// sources is the text of all Go files that are no tests.
func sources(t *testing.T) string {
	var all strings.Builder
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		all.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
