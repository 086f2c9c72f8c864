package h3

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/qpack"
)

// TestInterimWaitsForNobody: a client that has no room for interim responses holds nobody up, and gets whole ones when it has some.
func TestInterimWaitsForNobody(t *testing.T) {
	said := make(chan struct{})
	conn := serveRaw(t, 100, Options{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 5 {
			w.Header().Set("Link", strings.Repeat("x", 4000))
			w.WriteHeader(http.StatusEarlyHints)
		}
		w.Header().Del("Link")
		close(said)
		io.WriteString(w, "final")
	})})
	s := open(t, conn, framed(frameHeaders, block(get()...)))
	s.Close()
	select {
	case <-said:
	case <-time.After(10 * time.Second):
		t.Fatal("the handler is held up")
	}
	s.SetReadDeadline(time.Now().Add(20 * time.Second))
	in := bufio.NewReader(s)
	var got []string
	for {
		kind, length, err := nextFrame(in)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err, got)
		}
		b, err := readBlock(in, length, 8<<10, free)
		if err != nil {
			t.Fatal(err, got)
		}
		if kind == frameHeaders {
			f, err := qpack.NewDecoder().Decode(b)()
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, f.Value)
		} else {
			got = append(got, string(b))
		}
	}
	if n := len(got); n < 3 || got[0] != "103" || got[n-2] != "200" || got[n-1] != "final" {
		t.Error(got)
	}
}
