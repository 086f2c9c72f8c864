package lb

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/holdfast-lb/holdfast/internal/certtest"
)

// TestWhatWasSettledIsSpoken: whoever settles one protocol in the handshake (ALPN) and speaks the other one is refused, on both engines, at once or in pieces; nothing of it reaches an instance. A
// client that settles nothing may begin with either.
func TestWhatWasSettledIsSpoken(t *testing.T) {
	for name, only := range map[string]bool{"loops": false, "net/http": true} {
		t.Run(name, func(t *testing.T) { testSettled(t, only) })
	}
}

func testSettled(t *testing.T, only bool) {
	a := newApp(t, "i1", nil)
	cc := overTLS(http2Conf(of(a)...), "site")
	ca := certtest.NewCA(t, "root")
	g := newFakeGroup(cc)
	g.certify(t, "site", ca.Server("site.example"))
	r := newRigOn(t, g, Options{NetOnly: only})
	dial := func(settles string) *tls.Conn {
		raw, err := net.Dial("tcp", r.addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { raw.Close() })
		raw.SetDeadline(time.Now().Add(60 * time.Second))
		c := clientOf(ca)
		if settles != "" {
			c.NextProtos = []string{settles}
		}
		conn := tls.Client(raw, c)
		if err := conn.Handshake(); err != nil {
			t.Fatal(err)
		}
		if got := conn.ConnectionState().NegotiatedProtocol; got != settles {
			t.Fatalf("%q was settled, not %q", got, settles)
		}
		return conn
	}
	write := func(conn net.Conn, pieces ...string) {
		for _, piece := range pieces {
			if _, err := io.WriteString(conn, piece); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, at := range []int{1, 10, len(http2.ClientPreface) - 1, len(http2.ClientPreface)} {
		conn := dial("http/1.1")
		write(conn, http2.ClientPreface[:at], http2.ClientPreface[at:])
		in := bufio.NewReader(conn)
		got, err := http.ReadResponse(in, nil)
		if err != nil || got.StatusCode != http.StatusHTTPVersionNotSupported || !got.Close {
			t.Fatalf("the preface of HTTP/2 where HTTP/1.1 is settled, %d bytes first: %+v %v", at, got, err)
		}
		io.Copy(io.Discard, got.Body)
		if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
			t.Errorf("it goes on: %v", err)
		}
	}
	const request = "GET / HTTP/1.1\r\nHost: site.example\r\n\r\n"
	for _, at := range []int{1, 16, len(request)} {
		conn := dial("h2")
		write(conn, request[:at], request[at:])
		got, err := io.ReadAll(conn)
		if strings.Contains(string(got), "HTTP/1") || err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("HTTP/1.1 where HTTP/2 is settled, %d bytes first: %q %v", at, got, err)
		}
	}
	if n := a.count(); n != 0 {
		t.Errorf("the instance has had %d requests", n)
	}
	nothing := dial("")
	write(nothing, request)
	if got, err := http.ReadResponse(bufio.NewReader(nothing), nil); err != nil || got.StatusCode != 200 {
		t.Errorf("HTTP/1.1 where nothing is settled: %+v %v", got, err)
	}
	preface := dial("")
	write(preface, http2.ClientPreface)
	if f, err := http2.NewFramer(preface, preface).ReadFrame(); err != nil || f.Header().Type != http2.FrameSettings {
		t.Errorf("HTTP/2 where nothing is settled: %v %v", f, err)
	}
}
