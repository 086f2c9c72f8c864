package fsm

import (
	"go/ast"
	goparser "go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// pureImports is all that the package may import. No log, no randomness, no network, no files, nothing of ours but the
// configuration's types: state must depend on the entries alone.
var pureImports = []string{
	"bytes", "cmp", "crypto/sha256", "encoding/binary", "encoding/hex", "encoding/json", "errors", "fmt", "hash", "hash/crc32", "io",
	"maps", "math", "math/bits", "slices", "strings", "sync", "sync/atomic", "time",
	"github.com/klauspost/compress/zstd",
	"github.com/holdfast-lb/holdfast/fsm/config",
}

// impureTime are the names in package time that ask the machine.
var impureTime = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Local", "LoadLocation"}

// unresolved makes type checking go on without the imports: the package's own maps are known all the same.
type unresolved struct{}

func (unresolved) Import(path string) (*types.Package, error) {
	p := types.NewPackage(path, path[strings.LastIndex(path, "/")+1:])
	p.MarkComplete()
	return p, nil
}

func TestPurity(t *testing.T) {
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") || path == "bugs_on.go" { // known bugs, which no release has
			continue
		}
		f, err := goparser.ParseFile(fset, path, nil, goparser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	if len(files) < 10 {
		t.Fatalf("only %d files found", len(files))
	}
	for _, problem := range impurities(fset, files) {
		t.Error(problem)
	}
}

// The rule finds what it is there to find.
func TestPurityFindsViolations(t *testing.T) {
	fset := token.NewFileSet()
	f, err := goparser.ParseFile(fset, "bad.go", `package bad
		import ("log/slog"; "math/rand"; clock "time")
		var m map[string]int
		func f() { go f(); for range m {}; for k := range named {_ = k}; _ = clock.Now(); select {} ; slog.Info(""); rand.Int() }
		type named_ map[int]int
		var named = named_{}
		`, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := impurities(fset, []*ast.File{f}); len(got) != 7 {
		t.Fatalf("found %d: %s", len(got), strings.Join(got, "\n"))
	}
}

func impurities(fset *token.FileSet, files []*ast.File) (out []string) {
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	cfg := types.Config{Importer: unresolved{}, Error: func(error) {}}
	_, _ = cfg.Check("fsm", fset, files, info)
	for _, f := range files {
		timeName := ""
		report := func(n ast.Node, what string) { out = append(out, fset.Position(n.Pos()).String()+": "+what) }
		for _, imp := range f.Imports {
			path, _ := strconv.Unquote(imp.Path.Value)
			if !slices.Contains(pureImports, path) {
				report(imp, "imports "+path)
			}
			if path == "time" {
				if timeName = "time"; imp.Name != nil {
					timeName = imp.Name.Name
				}
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				report(n, "starts a goroutine")
			case *ast.SelectStmt:
				report(n, "select chooses at random")
			case *ast.RangeStmt:
				if tv, ok := info.Types[n.X]; ok && tv.Type != nil {
					if _, isMap := tv.Type.Underlying().(*types.Map); isMap {
						report(n, "ranges over a map: the order is random")
					}
				}
			case *ast.SelectorExpr:
				if id, ok := n.X.(*ast.Ident); ok && timeName != "" && id.Name == timeName && slices.Contains(impureTime, n.Sel.Name) {
					report(n, "uses time."+n.Sel.Name)
				}
				if id, ok := n.X.(*ast.Ident); ok && id.Name == "maps" && slices.Contains([]string{"All", "Keys", "Values", "Collect"}, n.Sel.Name) {
					report(n, "iterates over a map: the order is random")
				}
			}
			return true
		})
	}
	return out
}
