package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/holdfast-lb/holdfast/admin/client"
)

// TestTablesAreCutForTerminals: a table is as wide as what it holds, and only on a terminal at most as wide as that; the widest columns give way.
func TestTablesAreCutForTerminals(t *testing.T) {
	url := "http://127.0.2.4:8080/" + strings.Repeat("x", 150)
	for _, tc := range []struct {
		limit int
		whole bool
	}{{0, true}, {200, true}, {150, false}, {maxWidth, false}} {
		tab := &table{columns: []string{"NAME", "SESSIONS>", "URL"}, limit: tc.limit}
		tab.row("instance1", 7, url)
		var b strings.Builder
		if err := tab.write(&b); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		widest := utf8.RuneCountInString(slices.MaxFunc(lines, func(a, b string) int { return utf8.RuneCountInString(a) - utf8.RuneCountInString(b) }))
		if strings.Contains(b.String(), url) != tc.whole || tc.limit > 0 && widest > tc.limit || !tc.whole && (widest != tc.limit || !strings.Contains(b.String(), "…")) {
			t.Errorf("limit %d: %d wide:\n%s", tc.limit, widest, b.String())
		}
	}
}

// TestWhatIsNoTerminalIsNotCut: a pipe, a file and anything else that reads tables gets all of them.
func TestWhatIsNoTerminalIsNotCut(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, out := range []io.Writer{w, file, &strings.Builder{}} {
		g := &globals{out: out, lookupEnv: func(string) (string, bool) { return "", false }}
		if got := g.table("URL").limit; got != 0 {
			t.Errorf("%s: cut to %d", fmt.Sprintf("%T", out), got)
		}
	}
}

// TestWhatIsNoTerminalGetsOneLine: whoever reads events and problems line by line gets each whole.
func TestWhatIsNoTerminalGetsOneLine(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	text := strings.TrimSpace(strings.Repeat("Node n2 holds 10.0.0.1 ", 20)) + ", gap 0 ms"
	for _, out := range []io.Writer{w, &strings.Builder{}} {
		g := &globals{out: out, lookupEnv: func(string) (string, bool) { return "", false }}
		var b strings.Builder
		if err := g.writeEvents(&b, []client.Event{{Seq: 7, Kind: "holder", Text: text + "\nforged\x1b[2J"}, {Seq: 8, Kind: "config", Text: "next"}}); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(b.String(), "\n")
		if len(lines) != 3 || !strings.Contains(lines[0], text+"?forged") || strings.Contains(lines[0], "\x1b") || !strings.HasSuffix(lines[1], "next") || lines[2] != "" {
			t.Errorf("%q", b.String())
		}
	}
	if n := strings.Count(wrap(text, "! ", "  "), "\n"); n < 4 {
		t.Errorf("a terminal gets %d lines", n)
	}
}
