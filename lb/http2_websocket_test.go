package lb

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// webSocket is an instance that takes WebSockets as RFC 6455 says, and echoes their bytes.
func webSocket(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") || r.Header.Get("Sec-Websocket-Version") != "13" {
		http.Error(w, "no WebSocket", http.StatusUpgradeRequired)
		return
	}
	conn, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	sum := sha1.Sum([]byte(r.Header.Get("Sec-Websocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\nSec-WebSocket-Extensions: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]), r.Header.Get("Sec-Websocket-Extensions"))
	io.Copy(conn, rw)
}

// connectFields open a WebSocket over HTTP/2.
func connectFields(more ...string) []string {
	return append([]string{":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":path", "/ws", ":authority", "h", "sec-websocket-version", "13"}, more...)
}

// webSocketFrames are frames of all sizes, fragmented ones, a ping, and one of a compressed message: they pass as they are.
func webSocketFrames() [][]byte {
	var all [][]byte
	random := rand.New(rand.NewPCG(1, 2))
	frame := func(first byte, n int) {
		f := []byte{first}
		switch {
		case n < 126:
			f = append(f, 0x80|byte(n))
		case n < 1<<16:
			f = append(f, 0x80|126, byte(n>>8), byte(n))
		default:
			f = append(f, 0x80|127, 0, 0, 0, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
		}
		payload := make([]byte, 4+n) // the mask and what it covers
		for i := range payload {
			payload[i] = byte(random.Uint32())
		}
		all = append(all, append(f, payload...))
	}
	for _, n := range []int{0, 1, 125, 126, 127, 1 << 10, 65535, 65536, 300_000} {
		frame(0x82, n) // whole
	}
	frame(0x01, 10) // in three pieces, with a ping between them
	frame(0x89, 4)
	frame(0x00, 70_000)
	frame(0x80, 0)
	frame(0xc1, 200) // RSV1: permessage-deflate
	frame(0x88, 2)
	return all
}

func TestWebSocketFramesPass(t *testing.T) {
	a := newApp(t, "i1", webSocket)
	r := newRig(t, http2Conf(of(a)...))
	t.Run("HTTP/1.1", func(t *testing.T) {
		c := dialRaw(t, r)
		c.write("GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n")
		got := c.response()
		if got.StatusCode != 101 || got.Header.Get("Sec-Websocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || got.Header.Get("Sec-Websocket-Extensions") != "permessage-deflate" {
			t.Fatal(got.Status, got.Header)
		}
		for i, f := range webSocketFrames() {
			go c.Conn.Write(f)
			back := make([]byte, len(f))
			if _, err := io.ReadFull(c.in, back); err != nil || !bytes.Equal(back, f) {
				t.Fatalf("frame %d: %v", i, err)
			}
		}
	})
	t.Run("HTTP/2", func(t *testing.T) {
		f := dialFramed(t, r)
		s := f.open(t, 1, connectFields("sec-websocket-extensions", "permessage-deflate")...)
		if got := s.head; got["sec-websocket-extensions"] != "permessage-deflate" || got["sec-websocket-accept"] != "" || got["upgrade"] != "" || !strings.HasPrefix(got["set-cookie"], "HOLDFAST=") {
			t.Errorf("%v", got)
		}
		for i, frame := range webSocketFrames() {
			s.exchange(t, i, frame)
		}
		if a.header().Get("Sec-Websocket-Key") == "" || r.status("c1", "i1").InFlight != 1 {
			t.Errorf("%v", a.header())
		}
		f.WriteData(1, true, nil)
		s.ended(t)
		r.wait("nothing in flight", func() bool { return r.status("c1", "i1").InFlight == 0 })
	})
}

// streamOf is a tunnel over HTTP/2 as its client has it.
type streamOf struct {
	*framed
	id   uint32
	head map[string]string
	sent int // bytes that may still be sent, on the stream and the connection
}

// open opens a stream and wants 200.
func (f *framed) open(t *testing.T, id uint32, fields ...string) *streamOf {
	t.Helper()
	f.WriteWindowUpdate(0, 16<<20)
	f.ask(id, false, fields...)
	f.WriteWindowUpdate(id, 16<<20)
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := frame.(*http2.MetaHeadersFrame); ok && got.StreamID == id {
			s := &streamOf{framed: f, id: id, head: map[string]string{}, sent: 65535}
			for _, field := range got.Fields {
				s.head[field.Name] = field.Value
			}
			if s.head[":status"] != "200" {
				t.Fatal(s.head)
			}
			return s
		}
	}
}

// exchange sends bytes within the windows and wants them back.
func (s *streamOf) exchange(t *testing.T, i int, all []byte) {
	t.Helper()
	var back []byte
	for rest := all; len(back) < len(all); {
		for s.sent > 0 && len(rest) > 0 {
			n := min(len(rest), s.sent, 16<<10)
			if err := s.WriteData(s.id, false, rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest, s.sent = rest[n:], s.sent-n
		}
		frame, err := s.ReadFrame()
		if err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		switch got := frame.(type) {
		case *http2.DataFrame:
			back = append(back, got.Data()...)
		case *http2.WindowUpdateFrame:
			if got.StreamID == s.id { // that of the connection is larger from the beginning
				s.sent += int(got.Increment)
			}
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			t.Fatalf("frame %d: %v", i, got)
		}
	}
	if !bytes.Equal(back, all) {
		t.Fatalf("frame %d is another one", i)
	}
}

func (s *streamOf) ended(t *testing.T) {
	t.Helper()
	for {
		frame, err := s.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch got := frame.(type) {
		case *http2.DataFrame:
			if got.StreamEnded() {
				return
			}
		case *http2.RSTStreamFrame:
			t.Fatal(got)
		}
	}
}

// TestWebSocketOverHTTP2Refusals: what is no WebSocket does not look like one to the client.
func TestWebSocketOverHTTP2Refusals(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/plain":
			io.WriteString(w, "hello")
		case "/wrong":
			conn, _, _ := w.(http.Hijacker).Hijack()
			defer conn.Close()
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n")
		case "/forbidden":
			w.WriteHeader(403)
		default:
			webSocket(w, r)
		}
	})
	r := newRig(t, http2Conf(of(a)...))
	f := dialFramed(t, r)
	connect := func(protocol, path string, more ...string) []string {
		return append([]string{":method", "CONNECT", ":protocol", protocol, ":scheme", "http", ":path", path, ":authority", "h"}, more...)
	}
	for i, c := range []struct {
		fields []string
		want   string
	}{
		{connect("websocket", "/plain"), "502"},
		{connect("websocket", "/wrong"), "502"},
		{connect("websocket", "/forbidden"), "403"},
		{connect("websocket", "/ws"), "426"},
		{connect("chat", "/ws"), "501"},
		{connect("websocket", "/a b"), "400"},
		{connect("websocket", "/ws", "sec-websocket-version", "13"), "200"},
		{get("/plain", ":protocol", "websocket"), "reset PROTOCOL_ERROR|400"},
	} {
		stream := uint32(1 + 2*i)
		f.ask(stream, false, c.fields...)
		if got := f.outcomeOf(stream); !strings.Contains("|"+c.want+"|", "|"+got+"|") {
			t.Errorf("%v: %s, want %s", c.fields, got, c.want)
		}
	}
	f.Close()
	r.wait("nothing in flight", func() bool { return r.status("c1", "i1").InFlight == 0 })
}

// TestWebSocketsOverHTTP2StayOpen over a change of the configuration; and the end of one of them is not that of another.
func TestWebSocketsOverHTTP2StayOpen(t *testing.T) {
	a := newApp(t, "i1", webSocket)
	r := newRig(t, http2Conf(of(a)...))
	f := dialFramed(t, r)
	one, two := f.open(t, 1, connectFields()...), f.open(t, 3, connectFields()...)
	one.exchange(t, 0, []byte("before"))
	c := http2Conf(of(a)...)
	c.Clusters[0].Policy = "least-requests"
	r.apply(c)
	one.exchange(t, 1, []byte("after"))
	f.WriteRSTStream(1, http2.ErrCodeCancel)
	r.wait("one is over", func() bool { return r.status("c1", "i1").InFlight == 1 })
	two.exchange(t, 2, []byte("still"))
	over, cancel := context.WithCancel(t.Context())
	cancel()
	r.b.Shutdown(over)
	for { // whatever comes, the stream does not go on
		if _, err := f.ReadFrame(); err != nil {
			break
		}
	}
	r.wait("nothing in flight", func() bool { return r.status("c1", "i1").InFlight == 0 })
}
