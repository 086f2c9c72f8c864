package h1

import (
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/net/http2/hpack"
)

// TestHpackStatic: each index that is used is the one of that name in the table.
func TestHpackStatic(t *testing.T) {
	for _, list := range hpackNames {
		for _, n := range list {
			fields, err := hpack.NewDecoder(4096, nil).DecodeFull([]byte{0x80 | n.index})
			if err != nil || len(fields) != 1 || fields[0].Name != n.name {
				t.Errorf("%d: %v, %v, want %s", n.index, fields, err, n.name)
			}
		}
	}
	for status := 100; status < 1000; status++ {
		fields, err := hpack.NewDecoder(4096, nil).DecodeFull(appendHpackStatus(nil, status))
		want := string([]byte{'0' + byte(status/100), '0' + byte(status/10%10), '0' + byte(status%10)})
		if err != nil || len(fields) != 1 || fields[0].Name != ":status" || fields[0].Value != want {
			t.Errorf("%d: %v, %v", status, fields, err)
		}
	}
}

// FuzzHpackField: a strict decoder reads back what was said, names in lower case, and has nothing of it in its table.
func FuzzHpackField(f *testing.F) {
	f.Add("Content-Type", []byte("text/html"))
	f.Add("X-Own", []byte(strings.Repeat("long", 5000)))
	f.Add(strings.Repeat("n", 127), []byte(nil))
	f.Add(strings.Repeat("N", 128), []byte{0xff, 0})
	f.Fuzz(func(t *testing.T, name string, value []byte) {
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r >= utf8.RuneSelf }) {
			return // names are ASCII by then
		}
		d := hpack.NewDecoder(4096, nil)
		block := appendHpackField(appendHpackField(nil, name, value), []byte(name), string(value))
		fields, err := d.DecodeFull(block)
		if err != nil || len(fields) != 2 {
			t.Fatalf("%d fields, %v", len(fields), err)
		}
		for _, got := range fields {
			if got.Name != strings.ToLower(name) || got.Value != string(value) {
				t.Fatalf("%q: %q, want %q: %q", got.Name, got.Value, name, value)
			}
		}
		if _, err := d.DecodeFull([]byte{0x80 | 62}); err == nil {
			t.Fatal("it is in the dynamic table")
		}
	})
}

func TestCutLine(t *testing.T) {
	for in, want := range map[string][3]string{
		"A: b\r\nC: d\r\n": {"A", "b", "C: d\r\n"},
		"A:b":              {"A", "b", ""},
		"A:  b:c \r\n":     {"A", "b:c", ""},
		"nothing\r\nA: b":  {"", "", "A: b"},
		"":                 {"", "", ""},
		": x\r\n":          {"", "x", ""},
	} {
		name, value, rest := cutLine([]byte(in))
		if got := [3]string{string(name), string(value), string(rest)}; got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
