package wire_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// FuzzAnswer: the verdict about a response does not depend on how its bytes are split, and what is accepted is what net/http reads, to the last byte
// of the body. net/http is laxer: what it refuses must be refused here too, not the other way round.
func FuzzAnswer(f *testing.F) {
	for _, c := range goodAnswers {
		f.Add([]byte(c.raw+"hello"), c.head, uint8(3))
	}
	for _, s := range badAnswers {
		f.Add([]byte(s), false, uint8(5))
	}
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n3;x=\"y\"\r\nabc\r\n0\r\nA: b\r\n\r\nHTTP/1.1 "), false, uint8(9))
	f.Fuzz(func(t *testing.T, b []byte, head bool, cut uint8) {
		p, done, bad := parseAnswer(string(b), head, len(b)+1)
		q, again, other := parseAnswer(string(b), head, int(cut)+1)
		if done != again || bad != other && (bad == nil || other == nil) {
			t.Fatalf("in one piece %v %v, in pieces of %d %v %v", done, bad, int(cut)+1, again, other)
		}
		if !done {
			return
		}
		if bad != nil || p.Answer != q.Answer {
			t.Fatalf("%v, %+v and %+v", bad, p.Answer, q.Answer)
		}
		a := &p.Answer
		for _, field := range a.Fields() {
			if int(field.Value.Off)+int(field.Value.Len) > a.End {
				t.Fatal("a field lies outside of the head")
			}
		}
		compareAnswer(t, b, a, head)
	})
}

// compareAnswer has net/http read the same.
func compareAnswer(t *testing.T, b []byte, a *wire.Answer, head bool) {
	method := "GET"
	if head {
		method = "HEAD"
	}
	r := bufio.NewReader(bytes.NewReader(b))
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("accepted, but net/http says %v", err)
	}
	if resp.StatusCode != a.Status || resp.ProtoMinor != int(a.Minor) {
		t.Fatalf("status %d and 1.%d, net/http has %d and 1.%d", a.Status, a.Minor, resp.StatusCode, resp.ProtoMinor)
	}
	if a.Status < 200 {
		return // net/http takes interim responses for final ones here
	}
	want, complete, refused := content(b[a.End:], a)
	got, err := io.ReadAll(resp.Body)
	if complete != (err == nil) && !refused { // net/http does not look at the extensions of chunks
		t.Fatalf("body complete: %v, net/http says %v", complete, err)
	}
	if complete && !bytes.Equal(want, got) {
		t.Fatalf("body %q, net/http reads %q", want, got)
	}
	if a.KeepAlive && resp.Close {
		t.Fatal("the connection persists here and not for net/http")
	}
}

// content takes the body out of b by what the head says. refused: it is not even the beginning of one.
func content(b []byte, a *wire.Answer) (body []byte, complete, refused bool) {
	switch a.Framing {
	case wire.FramingLength:
		n := min(a.Length, int64(len(b)))
		return b[:n], n == a.Length, false
	case wire.FramingChunked:
		var d wire.Dechunker
		out := make([]byte, len(b))
		n, _, done, bad := d.Decode(out, b)
		return out[:n], done && bad == nil, bad != nil
	case wire.FramingClose:
		return b, true, false
	}
	return nil, true, false
}
