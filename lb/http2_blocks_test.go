package lb

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"

	"golang.org/x/net/http2"
)

// beginBlock sends the first piece of a header block, and comes back when it has been taken.
func (f *framed) beginBlock(stream uint32, piece []byte) {
	f.t.Helper()
	var both bytes.Buffer
	w := http2.NewFramer(&both, nil)
	w.WritePing(false, [8]byte{1})
	w.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, EndStream: true, BlockFragment: piece})
	f.Write(both.Bytes())
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			f.t.Fatal(err)
		}
		if ping, ok := frame.(*http2.PingFrame); ok && ping.IsAck() {
			return
		}
	}
}

// TestHTTP2BlocksInPieces: header blocks of several clients that come in pieces, in turn, are read each by itself.
func TestHTTP2BlocksInPieces(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Heard", fmt.Sprint(r.Header["X-First"], r.Header["X-Last"], r.Header["Cookie"]))
	})
	r := newRig(t, http2Conf(of(a)...))
	var clients []*framed
	for i := range 4 {
		f := dialFramed(t, r)
		f.beginBlock(1, f.block(get("/", "x-first", fmt.Sprint("first", i), "cookie", fmt.Sprint("a=", i))...))
		clients = append(clients, f)
	}
	for i, f := range clients {
		f.WriteContinuation(1, true, f.block("x-last", fmt.Sprint("last", i), "cookie", fmt.Sprint("b=", i)))
	}
	for i, f := range clients {
		want := fmt.Sprintf("[first%d] [last%d] [a=%d; b=%d]", i, i, i, i)
		if got := f.headOf(1).Get("X-Heard"); got != want {
			t.Errorf("client %d: %s, want %s", i, got, want)
		}
	}
}

// headOf reads until the head of the stream's answer has come.
func (f *framed) headOf(stream uint32) http.Header {
	f.t.Helper()
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			f.t.Fatal(err)
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			if frame.StreamID == stream {
				h := http.Header{}
				for _, field := range frame.RegularFields() {
					h.Add(field.Name, field.Value)
				}
				return h
			}
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			f.t.Fatal(frame)
		}
	}
}
