package lb

import (
	"io"
	"net/http"
	"testing"
)

// TestHTTP2AnswerBeforeTheBody: an instance that answers without a look at the body has its answer delivered, whole or not the body may be.
func TestHTTP2AnswerBeforeTheBody(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack() // net/http would read on before it answers
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		io.Copy(io.Discard, conn)
	})
	r := newRig(t, http2Conf(of(a)...))
	f := dialFramed(t, r)
	for i, method := range []string{"GET", "POST", "PUT", "GET", "POST", "PUT"} {
		stream := uint32(1 + 2*i)
		f.ask(stream, false, ":method", method, ":scheme", "http", ":path", "/", ":authority", "h")
		f.WriteData(stream, i < 3, make([]byte, 16<<10))
		if got := f.outcomeOf(stream); got != "418" {
			t.Errorf("%s: %s", method, got)
		}
	}
}
