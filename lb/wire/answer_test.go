package wire_test

import (
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// parseAnswer reads a head in pieces of n bytes.
func parseAnswer(s string, toHead bool, n int) (*wire.AnswerParser, bool, *wire.Error) {
	p := wire.NewAnswerParser(2000)
	p.Reset(toHead)
	for i := n; ; i += n {
		done, err := p.Parse([]byte(s[:min(i, len(s))]))
		if done || err != nil || i >= len(s) {
			return p, done, err
		}
	}
}

// goodAnswers are accepted: framing, length, whether the connection persists.
var goodAnswers = []struct {
	raw     string
	head    bool
	framing wire.Framing
	length  int64
	keep    bool
}{
	{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, wire.FramingLength, 5, true},
	{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, wire.FramingNone, 5, true},
	{"HTTP/1.1 200 OK\r\ncontent-length:\t05 \r\n\r\n", false, wire.FramingLength, 5, true},
	{"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", false, wire.FramingNone, 0, true},
	{"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", false, wire.FramingNone, 0, true},
	{"HTTP/1.1 200 \xfcber\r\nContent-Length: 0\r\n\r\n", false, wire.FramingNone, 0, true},
	{"HTTP/1.1 200 OK\r\n\r\n", false, wire.FramingClose, -1, false},
	{"HTTP/1.1 200 OK\r\n\r\n", true, wire.FramingNone, -1, true},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", false, wire.FramingChunked, -1, true},
	{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true, wire.FramingNone, -1, true},
	{"HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n", false, wire.FramingNone, 77, true},
	{"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", false, wire.FramingNone, -1, true},
	{"HTTP/1.1 204 No Content\r\n\r\n", false, wire.FramingNone, -1, true},
	{"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", false, wire.FramingNone, -1, true},
	{"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", false, wire.FramingNone, -1, true},
	{"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", false, wire.FramingNone, -1, true},
	{"HTTP/1.1 999 Odd\r\nContent-Length: 1\r\n\r\n", false, wire.FramingLength, 1, true},
	{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: x, CLOSE\r\n\r\n", false, wire.FramingLength, 5, false},
	{"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", false, wire.FramingLength, 5, false},
	{"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n", false, wire.FramingLength, 5, true},
	{"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive, close\r\n\r\n", false, wire.FramingLength, 5, false},
	{"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n", false, wire.FramingLength, 9223372036854775807, true},
	{"HTTP/1.1 200 OK\r\nX:\r\nX: \xff\t a\r\nContent-Length: 0\r\n\r\n", false, wire.FramingNone, 0, true},
}

func TestAnswersThatAreAccepted(t *testing.T) {
	for _, c := range goodAnswers {
		for _, n := range []int{1, 7, 1000} {
			p, done, err := parseAnswer(c.raw+"HTTP/1.1 500 next", c.head, n)
			a := &p.Answer
			if !done || err != nil || a.End != len(c.raw) || a.Framing != c.framing || a.Length != c.length || a.KeepAlive != c.keep {
				t.Errorf("%q (HEAD %v, by %d): %v %v %+v", c.raw, c.head, n, done, err, *a)
			}
		}
	}
}

// badAnswers have more than one reading, or none.
var badAnswers = []string{
	"SSH-2.0-OpenSSH\r\n", "<html>", "\r\nHTTP/1.1 200 OK\r\n\r\n", " HTTP/1.1 200 OK\r\n\r\n", "http/1.1 200 OK\r\n\r\n", "HTTP/1.12 200 OK\r\n\r\n", "HTTP/1.1\t200 OK\r\n\r\n",
	"HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.2 200 OK\r\n\r\n", "HTTP/0.9 200 OK\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n",
	"HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 -20 OK\r\n\r\n", "HTTP/1.1 099 OK\r\n\r\n", "HTTP/1.1 000 OK\r\n\r\n", "HTTP/1.1 200OK\r\n\r\n", "HTTP/1.1 200\tOK\r\n\r\n",
	"HTTP/1.1 200 O\rK\r\n\r\n", "HTTP/1.1 200 O\x00K\r\n\r\n", "HTTP/1.1 200 OK\n\n", "HTTP/1.1 200 OK\r\nX: y\n\r\n", "HTTP/1.1 200 OK\r\nX: y\r\n\n",
	"HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n", "HTTP/1.1 200 OK\r\n\tX: y\r\n\r\n", "HTTP/1.1 200 OK\r\nX : y\r\n\r\n", "HTTP/1.1 200 OK\r\n: y\r\n\r\n", "HTTP/1.1 200 OK\r\nX\r\n\r\n",
	"HTTP/1.1 200 OK\r\nX(: y\r\n\r\n", "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n", "HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n", "HTTP/1.1 200 OK\r\nX: \x7f\r\n\r\n", "HTTP/1.1 200 OK\r\n\xc3: y\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 1 1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: \r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: \"chunked\"\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
	"HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\n", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
	"HTTP/1.1 100 Continue\r\nContent-Length: 1\r\n\r\n", "HTTP/1.1 103 Hints\r\nTransfer-Encoding: chunked\r\n\r\n",
	"HTTP/1.1 200 " + strings.Repeat("x", 3000), "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 3000), "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 129) + "\r\n",
	"HTTP/1.1 200 OK\r\n" + strings.Repeat("A-longer-name: y\r\n", 120) + "\r\n",
}

func TestAnswersThatAreRefused(t *testing.T) {
	seen := map[string]bool{}
	for _, raw := range badAnswers {
		for _, n := range []int{1, 7, 5000} {
			_, done, err := parseAnswer(raw, false, n)
			if done || err == nil || err.Status != 502 {
				t.Errorf("%.80q (by %d): %v, %v", raw, n, done, err)
				continue
			}
			seen[err.Reason] = true
		}
	}
	if len(seen) != 10 {
		t.Errorf("%d different reasons were met: %v", len(seen), seen)
	}
}

// TestHalfAnAnswerIsNoError: every prefix of a good head waits for more.
func TestHalfAnAnswerIsNoError(t *testing.T) {
	for _, c := range goodAnswers {
		for i := range len(c.raw) - 1 {
			if _, done, err := parseAnswer(c.raw[:i], c.head, 1000); done || err != nil {
				t.Fatalf("%q: %v %v", c.raw[:i], done, err)
			}
		}
	}
}

func TestDechunker(t *testing.T) {
	coded := "3;x=y\r\nabc\r\n0002\r\nde\r\n0\r\nA: b\r\nC:d\r\n\r\n"
	for _, n := range []int{1, 2, 5, 100} {
		var d wire.Dechunker
		var got []byte
		rest, done := coded+"next", false
		for !done {
			piece := []byte(rest[:min(n, len(rest))])
			written, taken, over, err := d.Decode(piece, piece) // in place
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, piece[:written]...)
			rest, done = rest[taken:], over
		}
		if string(got) != "abcde" || rest != "next" || string(d.Trailers()) != "A: b\r\nC:d\r\n\r\n" {
			t.Errorf("by %d: %q, %q left, trailers %q", n, got, rest, d.Trailers())
		}
		d.Reset()
		if _, _, done, err := d.Decode(make([]byte, 5), []byte("0\r\n\r\n")); !done || err != nil || string(d.Trailers()) != "\r\n" {
			t.Errorf("again: %v %v %q", done, err, d.Trailers())
		}
	}
}
