package wire

import (
	"bytes"
	"strings"
	"testing"
)

func TestCheckReadsAsTheParserDoes(t *testing.T) {
	usual := map[string][]string{"Accept": {"a", "b"}, "Cookie": {"a=b; c=d"}, "Content-Length": {"5"}}
	for name, c := range map[string]struct {
		method, target, host string
		fields               map[string][]string
		want                 *Error
	}{
		"usual":               {"GET", "/a?b=%", "h:80", usual, nil},
		"asterisk":            {"OPTIONS", "*", "h", nil, nil},
		"asterisk for GET":    {"GET", "*", "h", nil, errTargetForm},
		"absolute":            {"GET", "http://h/", "h", nil, errTarget},
		"no target":           {"GET", "", "h", nil, errTarget},
		"no method":           {"", "/", "h", nil, errMethod},
		"no host":             {"GET", "/", "", nil, errHost},
		"host twice":          {"GET", "/", "h", map[string][]string{"Host": {"h"}}, errHostTwice},
		"target with version": {"GET", "/ HTTP/1.1\r\nA: b\r\n\r\n", "h", nil, errHostNone},
		"host with a line":    {"GET", "/", "h\r\nA: b", nil, errFieldValue},
		"value with a line":   {"GET", "/", "h", map[string][]string{"A": {"b\r\nC: d"}}, errFieldValue},
		"value with an end":   {"GET", "/", "h", map[string][]string{"A": {"b\r\n\r\nGET / HTTP/1.1"}}, errFieldValue},
		"value with blanks":   {"GET", "/", "h", map[string][]string{"A": {" b "}}, nil},
		"name with a colon":   {"GET", "/", "h", map[string][]string{"A: b": {"c"}}, errFieldName},
		"two lengths":         {"GET", "/", "h", map[string][]string{"Content-Length": {"1", "1"}}, errLengthTwice},
		"both framings":       {"GET", "/", "h", map[string][]string{"Content-Length": {"1"}, "Transfer-Encoding": {"chunked"}}, errBoth},
		"too long":            {"GET", "/", "h", map[string][]string{"A": {strings.Repeat("b", 40<<10)}}, errHeadLong},
		"too many":            {"GET", "/", "h", map[string][]string{"A": make([]string, 100)}, errHeadLines},
		"tunnel":              {"CONNECT", "/", "h", nil, errConnect},
	} {
		if got := Check(c.method, c.target, c.host, c.fields, Limits{}); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// FuzzCheck: what is accepted, written down, is read by the parser as the same and nothing else.
func FuzzCheck(f *testing.F) {
	f.Add("GET", "/", "h", "A", "b")
	f.Add("GET", "/ HTTP/1.1\r\nHost: x\r\n\r\n", "h", "A: b\r\nC", "d")
	f.Fuzz(func(t *testing.T, method, target, host, name, value string) {
		if Check(method, target, host, map[string][]string{name: {value}}, Limits{}) != nil {
			return
		}
		text := []byte(method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" + name + ": " + value + "\r\n\r\n")
		p := NewParser(Limits{})
		done, bad := p.Parse(text)
		if !done || bad != nil || p.Head.End != len(text) {
			t.Fatalf("%q: %v, %v", text, done, bad)
		}
		fields := p.Head.Fields()
		if len(fields) != 2 || string(fields[1].Name.Of(text)) != name || !bytes.Equal(fields[1].Value.Of(text), Trim([]byte(value))) {
			t.Fatalf("%q was read in another way", text)
		}
	})
}

func TestTrailersThatAreAnnounced(t *testing.T) {
	if bad := CheckTrailers(map[string][]string{"X-Sum": nil, "Grpc-Status": nil}); bad != nil {
		t.Error(bad)
	}
	for _, name := range []string{"X-Forwarded-For", "content-length", "a b", "", " X", "x_forwarded-for", "X-Holdfast-Session", "X_HOLDFAST_" + strings.Repeat("x", 100), "Client_Cert", "client.cert", "X!Forwarded*For", "Content`Length"} {
		if CheckTrailers(map[string][]string{name: nil}) == nil {
			t.Errorf("%q is taken", name)
		}
	}
	for name, forbidden := range map[string]bool{ // in responses
		"X-Forwarded-For": true, "Set_Cookie": false, "X-Holdfast-Session": false, "X-Sum": false, "Grpc-Status": false, "Content-Length-" + strings.Repeat("x", 100): false,
	} {
		if ForbiddenTrailer(name) != forbidden {
			t.Errorf("%q in a response: forbidden %v", name, !forbidden)
		}
	}
}
