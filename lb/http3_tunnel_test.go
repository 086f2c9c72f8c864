package lb

import (
	"bufio"
	"bytes"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
)

// streamH3 is a stream of requests as a test reads it.
type streamH3 struct {
	*quic.Stream
	in *bufio.Reader
}

func openH3(t *testing.T, conn *quic.Conn, send []byte) *streamH3 {
	t.Helper()
	s, err := conn.OpenStreamSync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := s.Write(send); err != nil {
		t.Fatal(err)
	}
	return &streamH3{s, bufio.NewReader(s)}
}

// frame reads one.
func (s *streamH3) frame(t *testing.T) (kind uint64, payload []byte) {
	t.Helper()
	kind, err := quicvarint.Read(s.in)
	var n uint64
	if err == nil {
		n, err = quicvarint.Read(s.in)
	}
	if err == nil {
		payload = make([]byte, n)
		_, err = io.ReadFull(s.in, payload)
	}
	if err != nil {
		t.Fatal(err)
	}
	return kind, payload
}

// head reads the head of a response.
func (s *streamH3) head(t *testing.T) map[string]string {
	t.Helper()
	kind, block := s.frame(t)
	if kind != 1 {
		t.Fatalf("frame %d in place of a head", kind)
	}
	fields := map[string]string{}
	next := qpack.NewDecoder().Decode(block)
	for {
		f, err := next()
		if err == io.EOF {
			return fields
		}
		if err != nil {
			t.Fatal(err)
		}
		fields[f.Name] = f.Value
	}
}

func connectH3(more ...string) []byte {
	return framedH3(1, blockH3(append([]string{":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":path", "/ws", ":authority", "h", "sec-websocket-version", "13"}, more...)...))
}

// TestWebSocketOverHTTP3: RFC 9220. Frames pass as they are, and an end of one side is an end of the other.
func TestWebSocketOverHTTP3(t *testing.T) {
	a := newApp(t, "i1", webSocket)
	r, ca := http3Rig(t, http3Conf(of(a)...))
	conn := dialQUIC(t, r, ca)
	s := openH3(t, conn, connectH3("sec-websocket-extensions", "permessage-deflate"))
	if got := s.head(t); got[":status"] != "200" || got["sec-websocket-extensions"] != "permessage-deflate" || got["sec-websocket-accept"] != "" || got["upgrade"] != "" {
		t.Fatalf("%v", got)
	}
	for i, frame := range webSocketFrames() {
		go s.Write(framedH3(0, frame))
		var back []byte
		for len(back) < len(frame) {
			kind, data := s.frame(t)
			if kind != 0 {
				t.Fatalf("frame %d: %d", i, kind)
			}
			back = append(back, data...)
		}
		if !bytes.Equal(back, frame) {
			t.Fatalf("frame %d of %d bytes comes back as another one", i, len(frame))
		}
	}
	if n := r.status("c1", "i1").InFlight; n != 1 {
		t.Errorf("%d in flight", n)
	}
	s.Close()
	if _, err := io.ReadAll(s.in); err != nil {
		t.Errorf("the end: %v", err)
	}
	r.wait("nothing in flight", func() bool { return r.status("c1", "i1").InFlight == 0 })
	if got := openH3(t, conn, framedH3(1, blockH3(":method", "CONNECT", ":protocol", "other", ":scheme", "https", ":path", "/", ":authority", "h"))).head(t); got[":status"] != "501" {
		t.Errorf("another protocol: %v", got)
	}
}

// TestHTTP3GoesAwayInTwoSteps: what a client sends before it has heard that the connection ends is served, and it hears which request was the last.
func TestHTTP3GoesAwayInTwoSteps(t *testing.T) {
	a := newApp(t, "i1", nil)
	r, ca := http3Rig(t, http3Conf(of(a)...))
	conn := dialQUIC(t, r, ca)
	one, err := conn.AcceptUniStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	one.SetReadDeadline(time.Now().Add(20 * time.Second))
	control := &streamH3{in: bufio.NewReader(one)}
	if kind, err := control.in.ReadByte(); err != nil || kind != 0 {
		t.Fatal("no control stream", kind, err)
	}
	if kind, _ := control.frame(t); kind != 4 {
		t.Fatal("no settings")
	}
	ask := func() string {
		s := openH3(t, conn, postH3())
		s.Close()
		return s.head(t)[":status"]
	}
	if got := ask(); got != "200" {
		t.Fatal(got)
	}
	r.b.DrainAddresses([]netip.Addr{netip.MustParseAddr("127.0.0.1")})
	kind, id := control.frame(t)
	if n, _, err := quicvarint.Parse(id); kind != 7 || err != nil || n != 1<<62-4 {
		t.Fatalf("the first word: frame %d, %d, %v", kind, n, err)
	}
	if got := ask(); got != "200" {
		t.Errorf("sent before it was the last: %s", got)
	}
	kind, id = control.frame(t)
	if n, _, err := quicvarint.Parse(id); kind != 7 || err != nil || n != 8 {
		t.Errorf("the last word: frame %d, %d, %v", kind, n, err)
	}
	if code := endOf(t, conn); code != 0x100 {
		t.Errorf("it ends with %#x", code)
	}
}
