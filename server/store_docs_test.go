package server

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

var fenced = regexp.MustCompile("(?s)```(\\w+)\n(.*?)```")

// TestDocumentedStoreCalls: the calls and the program of docs/STORE.md, as they stand there, against a group with the configuration that stands there.
func TestDocumentedStoreCalls(t *testing.T) { // TC-04, TC-06
	data, err := os.ReadFile("../docs/STORE.md")
	if err != nil {
		t.Fatal(err)
	}
	g := startGroup(t, 3)
	env := append(os.Environ(), "URL=http://"+g.servers[1].config.AdminAddr, "ID=9A3F.instance1")
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Env = env
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s%s", name, err, out, errs.String())
		}
		return string(out)
	}
	calls, last := 0, ""
	for _, block := range fenced.FindAllStringSubmatch(string(data), -1) {
		switch kind, text := block[1], block[2]; {
		case kind == "yaml":
			if _, err := config.Parse("STORE.md", []byte(text)); err != nil {
				t.Fatal(err)
			}
			g.apply(t, g.servers[0], text)
		case kind == "sh" && strings.HasPrefix(text, "curl"):
			calls += strings.Count(text, "curl")
			last = run("sh", "-euc", text)
		case kind == "text":
			if strings.TrimSpace(text) != strings.TrimSpace(last) {
				t.Errorf("the calls give\n%s\nthe document says\n%s", last, text)
			}
		case kind == "go":
			main := filepath.Join(t.TempDir(), "main.go")
			if err := os.WriteFile(main, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if out := run("go", "run", main); out != "tea, milk <nil>\n" {
				t.Errorf("the program prints %q", out)
			}
			calls++
		}
	}
	if calls < 11 {
		t.Errorf("only %d calls found", calls)
	}
}
