package h1

import (
	"fmt"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// edited parses a head, edits it and gives its lines.
func edited(t testing.TB, head string, e *Edits, hop lines) string {
	p := wire.NewParser(wire.Limits{Lines: 128})
	if done, bad := p.Parse([]byte(head)); !done || bad != nil {
		t.Fatalf("%q: %v", head, bad)
	}
	fields := p.Head.Fields()
	return string(e.appendLines(nil, []byte(head), int(fields[0].Name.Off), p.Head.End-2, fields, hop))
}

func TestEdits(t *testing.T) {
	head := "GET / HTTP/1.1\r\nHost: a\r\nA:  1 \r\nB: 2\r\nC: 3\r\n\r\n"
	for _, c := range []struct {
		name string
		edit func(*Edits)
		want string
	}{
		{"nothing", func(*Edits) {}, "Host: a\r\nA:  1 \r\nB: 2\r\nC: 3\r\n"},
		{"first", func(e *Edits) { e.Drop(0) }, "A:  1 \r\nB: 2\r\nC: 3\r\n"},
		{"last", func(e *Edits) { e.Drop(3) }, "Host: a\r\nA:  1 \r\nB: 2\r\n"},
		{"all", func(e *Edits) { e.Drop(0); e.Drop(1); e.Drop(2); e.Drop(3) }, ""},
		{"set", func(e *Edits) { e.Set(1, []byte("x")) }, "Host: a\r\nA: x\r\nB: 2\r\nC: 3\r\n"},
		{"set twice, and drop another", func(e *Edits) { e.Set(3, []byte("x")); e.Set(3, []byte("yy")); e.Drop(2) }, "Host: a\r\nA:  1 \r\nC: yy\r\n"},
		{"set and drop", func(e *Edits) { e.Set(1, []byte("x")); e.Drop(1) }, "Host: a\r\nB: 2\r\nC: 3\r\n"},
		{"add", func(e *Edits) { e.Add("D", []byte("4")); e.AddString("E", "") }, "Host: a\r\nA:  1 \r\nB: 2\r\nC: 3\r\nD: 4\r\nE: \r\n"},
		{"inject", func(e *Edits) { e.AddString("D", "a\r\nEvil: b\x00\x7f\t"); e.Set(0, []byte("\n")) }, "Host:  \r\nA:  1 \r\nB: 2\r\nC: 3\r\nD: a  Evil: b  \t\r\n"},
		{"a line that is not there", func(e *Edits) { e.Drop(4); e.Drop(127) }, "Host: a\r\nA:  1 \r\nB: 2\r\nC: 3\r\n"},
	} {
		var e Edits
		c.edit(&e)
		if got := edited(t, head, &e, lines{}); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		e.Reset()
		if got := edited(t, head, &e, lines{}); got != "Host: a\r\nA:  1 \r\nB: 2\r\nC: 3\r\n" {
			t.Errorf("%s, after Reset: %q", c.name, got)
		}
	}
}

// TestEditsOfAllLines: as many lines as a head can have get other values, some of them twice.
func TestEditsOfAllLines(t *testing.T) {
	var head, want strings.Builder
	head.WriteString("GET / HTTP/1.1\r\n")
	var e Edits
	for i := range 128 {
		name := fmt.Sprint("X-", i)
		if i == 77 {
			name = "Host"
		}
		fmt.Fprintf(&head, "%s: %d\r\n", name, i)
		e.Set(i, []byte("first"))
		if value := fmt.Sprint("new ", i); i%3 == 0 {
			e.Set(i, []byte(value))
			fmt.Fprintf(&want, "%s: %s\r\n", name, value)
		} else {
			fmt.Fprintf(&want, "%s: first\r\n", name)
		}
	}
	head.WriteString("\r\n")
	if got := edited(t, head.String(), &e, lines{}); got != want.String() {
		t.Errorf("%q", got)
	}
	e.Reset()
	if got := edited(t, head.String(), &e, lines{}); strings.Contains(got, "new") || strings.Contains(got, "first") {
		t.Errorf("after Reset: %q", got)
	}
}

// TestEditsOfManyLines: each line by itself, over both words of the set.
func TestEditsOfManyLines(t *testing.T) {
	var head strings.Builder
	head.WriteString("GET / HTTP/1.1\r\n")
	for i := range 128 {
		if i == 77 {
			head.WriteString("Host: a\r\n")
			continue
		}
		fmt.Fprintf(&head, "X-%d: %d\r\n", i, i)
	}
	head.WriteString("\r\n")
	for i := range 128 {
		var e Edits
		var hop lines
		e.Drop(i)
		hop.add((i + 5) % 128)
		got := edited(t, head.String(), &e, hop)
		if n := strings.Count(got, "\r\n"); n != 126 || strings.Contains(got, fmt.Sprintf("X-%d:", i)) || strings.Contains(got, fmt.Sprintf("X-%d:", (i+5)%128)) {
			t.Fatalf("line %d: %d lines are left", i, n)
		}
	}
}

// TestFieldsOfOneHop: which are not passed on, whatever Connection names.
func TestFieldsOfOneHop(t *testing.T) {
	for _, c := range []struct {
		in, kept string
		chunked  bool
		special  bool
	}{
		{"Connection: close|Keep-Alive: 1|Proxy-Connection: x|Proxy-Authenticate: x|Proxy-Authorization: x|Upgrade: x|A: b", "A", false, false},
		{"Trailer: x|A: b", "A", false, false},
		{"Trailer: x|A: b", "Trailer A", true, false},
		{"TE: trailers", "", false, true},
		{"Expect: x", "Expect", false, true},
		{"Connection: a, B ,, c-C|A: 1|b: 2|C-c: 3|D: 4", "D", false, false},
		{"A: 1|Connection: a|Connection: b|B: 2", "", false, false},
		{"Connection: Cookie, Authorization, X-Forwarded-For, x-forwarded-proto, X-Forwarded-Host, Content-Type, set-cookie|Cookie: 1|Authorization: 2|X-Forwarded-For: 3|" +
			"X-Forwarded-Proto: 4|X-Forwarded-Host: 5|Content-Type: 6|Set-Cookie: 7", "Cookie Authorization X-Forwarded-For X-Forwarded-Proto X-Forwarded-Host Content-Type Set-Cookie", false, false},
	} {
		p := wire.NewParser(wire.Limits{})
		b := []byte("GET / HTTP/1.1\r\nHost: a\r\n" + strings.ReplaceAll(c.in, "|", "\r\n") + "\r\n\r\n")
		if done, bad := p.Parse(b); !done || bad != nil {
			t.Fatalf("%q: %v", b, bad)
		}
		drop, special := oneHop(p.Head.Fields(), b, c.chunked)
		var kept []string
		for i, f := range p.Head.Fields() {
			if !drop.has(i) && i > 0 {
				kept = append(kept, string(f.Name.Of(b)))
			}
		}
		if got := strings.Join(kept, " "); got != c.kept || special != c.special || drop.has(0) {
			t.Errorf("%s: kept %q, special %v", c.in, got, special)
		}
	}
}

// FuzzEdits: whatever is set and added, no line appears that was not asked for, and the lines that stay are those of the request.
func FuzzEdits(f *testing.F) {
	f.Add("v", "w", uint8(1), uint8(2))
	f.Add("a\r\nX: y", "\n\r\x00", uint8(0), uint8(0))
	f.Fuzz(func(t *testing.T, set, add string, i, drop uint8) {
		head := "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n"
		var e Edits
		e.Set(int(i%4), []byte(set))
		e.Drop(int(drop % 4))
		e.AddString("New", add)
		got := edited(t, head, &e, lines{})
		if strings.Count(got, "\n") != 4 || strings.Count(got, "\r") != 4 || strings.ContainsRune(got, 0) || !strings.HasSuffix(got, "\r\n") {
			t.Fatalf("%q", got)
		}
	})
}
