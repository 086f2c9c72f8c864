package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/holdfast-lb/holdfast/"

// mayImport lists, for each top-level package, or a part of it that has a rule of its own, which other packages of ours it may use, with its reason in the comment. A
// package that is not listed may import nothing of ours; a sub-package counts as its parent.
var mayImport = map[string][]string{
	"fsm":      {"internal/mutant"},                                                        // pure: state and commands; TestPurity lets known bugs in only where no release has them
	"storage":  {"internal/failpoint"},                                                     // bytes on disk
	"raftnode": {"fsm", "storage", "internal/mutant", "internal/failpoint"},                // replicates fsm over storage
	"lb":       {"fsm", "internal/mutant"},                                                 // views of the state only
	"vip":      nil,                                                                        // who holds the address; DNS answers
	"migrate":  {"fsm"},                                                                    // files of other balancers become a configuration
	"admin":    {"fsm"},                                                                    // what it drives comes as interfaces
	"server":   {"fsm", "storage", "raftnode", "lb", "vip", "admin", "internal/failpoint"}, // the one place that knows everyone
	"chaos":    {"admin/client", "internal"},                                               // black box: public interfaces only
	// The harness as a program: what a user has, and nothing from inside a node. internal/mutant knows the names of the known bugs.
	"cmd/holdfast-chaos": {"chaos", "admin/client", "internal/mutant"},
	"cmd":                {"server", "vip", "admin", "chaos", "fsm", "migrate", "raftnode/pki", "storage", "internal"},
	"internal":           {"internal"},
	// The simulator lives through whole groups: it is a test of what it imports, and nothing imports it.
	"internal/sim": {"fsm", "raftnode", "storage", "vip", "internal"},
}

type file struct {
	path string // from the root of the module, with slashes
	fset *token.FileSet
	ast  *ast.File
	src  string
}

func (f file) dir() string { return filepath.ToSlash(filepath.Dir(f.path)) }
func (f file) test() bool  { return strings.HasSuffix(f.path, "_test.go") }
func (f file) top() string { return strings.SplitN(f.path, "/", 2)[0] }

// floor is the entry of mayImport that the file belongs to: the longest that fits.
func (f file) floor() string {
	best := f.top()
	for name := range mayImport {
		if within(f.dir(), name) && len(name) > len(best) {
			best = name
		}
	}
	return best
}
func (f file) line(p token.Pos) int { return f.fset.Position(p).Line }

func sources(t *testing.T) []file {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var files []file
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == ".git" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, path, src, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		files = append(files, file{path: filepath.ToSlash(rel), fset: fset, ast: parsed, src: string(src)})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("only %d source files found below %s: the walk is broken", len(files), root)
	}
	return files
}

func TestImportsPointDown(t *testing.T) {
	for _, f := range sources(t) {
		for _, spec := range f.ast.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			target, ours := strings.CutPrefix(path, module)
			if !ours || within(target, f.floor()) || f.test() && within(target, "internal") {
				continue
			}
			allowed := false
			for _, a := range mayImport[f.floor()] {
				allowed = allowed || within(target, a)
			}
			if !allowed {
				t.Errorf("%s:%d: %s must not import %s", f.path, f.line(spec.Pos()), f.floor(), target)
			}
		}
	}
}

func within(path, parent string) bool {
	return path == parent || strings.HasPrefix(path, parent+"/")
}

func TestEveryPackageSaysWhatItPromises(t *testing.T) {
	documented := map[string]bool{}
	for _, f := range sources(t) {
		if !f.test() {
			documented[f.dir()] = documented[f.dir()] || f.ast.Doc != nil
		}
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s: no package comment", dir)
		}
	}
}

func TestFilesAndFunctionsStaySmall(t *testing.T) {
	const maxFile, maxFunc = 500, 100
	for _, f := range sources(t) {
		if f.test() {
			continue
		}
		if n := strings.Count(f.src, "\n"); n > maxFile {
			t.Errorf("%s: %d lines, more than %d: has it more than one theme?", f.path, n, maxFile)
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := f.line(fn.End()) - f.line(fn.Pos()); n > maxFunc {
				t.Errorf("%s:%d: %s has %d lines, more than %d", f.path, f.line(fn.Pos()), fn.Name.Name, n, maxFunc)
			}
		}
	}
}

// TestTestsWaitForConditions: a sleep in a test is either too short on a busy machine or too long on every other one.
func TestTestsWaitForConditions(t *testing.T) {
	for _, f := range sources(t) {
		if !f.test() {
			continue
		}
		bubble := strings.Contains(f.src, `"testing/synctest"`) // there a sleep is virtual, and exact
		ast.Inspect(f.ast, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := sel.X.(*ast.Ident)
			if !ok {
				return true
			}
			switch name := pkg.Name + "." + sel.Sel.Name; {
			case name == "time.Sleep" && !bubble && f.dir() != "internal/wait":
				t.Errorf("%s:%d: time.Sleep in a test: poll a condition (internal/wait) or use testing/synctest", f.path, f.line(n.Pos()))
			case name == "t.Skip" || name == "t.Skipf" || name == "t.SkipNow" || name == "testing.Short":
				t.Errorf("%s:%d: %s: a skipped test proves nothing", f.path, f.line(n.Pos()), name)
			}
			return true
		})
	}
}

// TestTheStateIsPure: replicas that look at a clock, at randomness or at the order of a map drift apart.
func TestTheStateIsPure(t *testing.T) {
	forbidden := map[string]bool{
		"math/rand": true, "math/rand/v2": true, "crypto/rand": true, "log": true, "log/slog": true, "os": true, "net": true,
	}
	for _, f := range sources(t) {
		if f.test() || f.dir() != "fsm" {
			continue
		}
		for _, spec := range f.ast.Imports {
			if path, _ := strconv.Unquote(spec.Path.Value); forbidden[path] {
				t.Errorf("%s:%d: the state must not use %s", f.path, f.line(spec.Pos()), path)
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "time" && (sel.Sel.Name == "Now" || sel.Sel.Name == "Since") {
					t.Errorf("%s:%d: the state must not read a clock", f.path, f.line(n.Pos()))
				}
			}
			if stmt, ok := n.(*ast.GoStmt); ok {
				t.Errorf("%s:%d: the state must not start a goroutine", f.path, f.line(stmt.Pos()))
			}
			return true
		})
	}
}
