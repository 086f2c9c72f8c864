//go:build linux

package h1_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/certtest"
	"github.com/holdfast-lb/holdfast/lb/h1"
)

// secureClient is a client whose connection a loop has, over TLS. raw is what is below TLS.
type secureClient struct {
	*tls.Conn
	raw *recorded
	in  *bufio.Reader
}

// recorded keeps what came by a connection, and can send byte by byte.
type recorded struct {
	net.Conn
	keeps, slow bool
	came        bytes.Buffer
}

func (r *recorded) Write(p []byte) (n int, err error) {
	for r.slow && n < len(p)-1 && err == nil {
		_, err = r.Conn.Write(p[n : n+1])
		n++
	}
	if err != nil {
		return n, err
	}
	_, err = r.Conn.Write(p[n:])
	return len(p), err
}

func (r *recorded) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	if r.keeps {
		r.came.Write(p[:n])
	}
	return n, err
}

// secure makes a connection with TLS, its handshake included, and gives the server's side of it to a loop. early is sent before that, so that crypto/tls may have it already.
func (r *rig) secure(version uint16, early string) *secureClient {
	r.t.Helper()
	return r.secureWith(&tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version}, early, nil)
}

// secureWith does so for a client with those settings. tune, if not nil, gets the server's socket first.
func (r *rig) secureWith(config *tls.Config, early string, tune func(*net.TCPConn)) *secureClient {
	r.t.Helper()
	leaf := certtest.NewCA(r.t, "root").Server("site.example").TLS()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	defer ln.Close()
	raw, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { raw.Close() })
	raw.SetDeadline(time.Now().Add(patience))
	server, err := ln.Accept()
	if err != nil {
		r.t.Fatal(err)
	}
	if tune != nil {
		tune(server.(*net.TCPConn))
	}
	rec := &recorded{Conn: raw}
	c := &secureClient{Conn: tls.Client(rec, config), raw: rec}
	c.in = bufio.NewReader(c.Conn)
	shaken := make(chan error, 1)
	go func() {
		err := c.Handshake()
		if err == nil && early != "" {
			_, err = io.WriteString(c, early)
		}
		shaken <- err
	}()
	base := h1.NewBase(server)
	secured := tls.Server(base, &tls.Config{Certificates: []tls.Certificate{leaf}})
	if err := errors.Join(secured.Handshake(), <-shaken); err != nil {
		r.t.Fatal(err)
	}
	r.d.set(func() { r.d.conns = append(r.d.conns, nil) }) // one more that must end
	got := make(chan struct{})
	fd := descriptor(r.t, server)
	server.Close()
	a := h1.Adoption{FD: fd, TLS: &h1.Secured{Conn: secured, Base: base}, Fresh: true, Setup: func(*h1.Conn) { close(got) }}
	if err := r.e.Adopt(a); err != nil {
		r.t.Fatal(err)
	}
	<-got
	return c
}

func (c *secureClient) ask(t *testing.T, request, want string) {
	t.Helper()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	c.want(t, want)
}

func (c *secureClient) want(t *testing.T, want string) {
	t.Helper()
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(resp.Body); err != nil || string(got) != want {
		t.Fatalf("%.60q (%d bytes) %v, want %.60q (%d)", got, len(got), err, want, len(want))
	}
}

// echo answers each request with its path and body.
func echo(c *originConn) {
	for {
		q, err := http.ReadRequest(c.r)
		if err != nil {
			return
		}
		body, err := io.ReadAll(q.Body)
		if err != nil {
			return
		}
		answer := q.URL.Path + " " + string(body)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
	}
}

const plainGet = "GET /%s HTTP/1.1\r\nHost: h\r\n\r\n"

// TestTLSOnALoop: kept requests, several in one record, heads that come byte by byte in records of their own, and bodies of all sizes both ways, with both versions.
func TestTLSOnALoop(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		r := newRig(t, echo)
		c := r.secure(version, fmt.Sprintf(plainGet, "early"))
		c.want(t, "/early ")
		for i := range 5 {
			c.ask(t, fmt.Sprintf(plainGet, fmt.Sprint(i)), fmt.Sprintf("/%d ", i))
		}
		c.ask(t, fmt.Sprintf(plainGet, "a")+fmt.Sprintf(plainGet, "b")+fmt.Sprintf(plainGet, "c"), "/a ")
		c.want(t, "/b ")
		c.want(t, "/c ")
		for _, b := range []byte(fmt.Sprintf(plainGet, "slowly")) {
			if _, err := c.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
		}
		c.want(t, "/slowly ")
		c.raw.slow = true // records come in pieces
		for i := range 5 {
			c.ask(t, fmt.Sprintf(plainGet, fmt.Sprint("piecemeal", i)), fmt.Sprintf("/piecemeal%d ", i))
		}
		c.raw.slow = false
		for _, size := range []int{0, 1, 16<<10 - 1, 16 << 10, 16<<10 + 1, 100_000, 3 << 20} {
			body := strings.Repeat("0123456789abcdef", size/16+1)[:size]
			sent := make(chan error, 1)
			go func() {
				_, err := fmt.Fprintf(c, "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", size, body)
				sent <- err
			}()
			c.want(t, "/p "+body)
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
		}
		c.CloseWrite()
		if rest, err := io.ReadAll(c.in); err != nil || len(rest) > 0 {
			t.Errorf("at the end: %q %v", rest, err)
		}
	}
}

// TestTLSSaysThatItEnds: a response that says that it is the last, a refused head and an idle connection that is to end are each followed by close_notify: crypto/tls gives io.EOF
// for that and for an end of the stream alone, so it is looked for in the records.
func TestTLSSaysThatItEnds(t *testing.T) {
	r := newRig(t, echo)
	for name, request := range map[string]string{
		"the last response": "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
		"a refused head":    "GET / HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n",
	} {
		c := r.secure(tls.VersionTLS12, "")
		c.raw.keeps = true
		io.WriteString(c, request)
		if all, err := io.ReadAll(c.in); err != nil || !bytes.HasPrefix(all, []byte("HTTP/1.1 ")) || !bytes.Contains(all, []byte("Connection: close")) {
			t.Errorf("%s: %q %v", name, all, err)
		}
		var kinds []byte
		for b := c.raw.came.Bytes(); len(b) >= 5; b = b[5+int(b[3])<<8+int(b[4]):] {
			kinds = append(kinds, b[0])
		}
		if len(kinds) < 2 || kinds[len(kinds)-1] != 21 { // alert
			t.Errorf("%s: records %v", name, kinds)
		}
	}
}

// TestBrokenRecords: what is no record, or was changed on the way, ends the connection with an alert; the others go on, and nothing of it reaches the origin.
func TestBrokenRecords(t *testing.T) {
	r := newRig(t, echo)
	other := r.secure(tls.VersionTLS13, "")
	for _, b := range [][]byte{
		[]byte("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), bytes.Repeat([]byte{0}, 100), []byte("\x17\x03\x03\xff\xff"), append([]byte("\x17\x03\x03\x00\x20"), bytes.Repeat([]byte{7}, 32)...),
		[]byte("\x16\x03\x03\x00\x04\x18\x00\x00\x01"), []byte("\x15\x03\x03\x00\x02\x02\x28"),
	} {
		c := r.secure(tls.VersionTLS13, "")
		if _, err := c.raw.Write(b); err != nil {
			t.Fatal(err)
		}
		var refused *net.OpError
		if _, err := c.Read(make([]byte, 1)); !errors.As(err, &refused) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%.20q: %v", b, err)
		}
		other.ask(t, fmt.Sprintf(plainGet, "other"), "/other ")
	}
	// The beginning of a record, and then the end of the stream.
	c := r.secure(tls.VersionTLS13, "")
	c.raw.Write([]byte("\x17\x03\x03\x00\x20half"))
	c.raw.Conn.(*net.TCPConn).CloseWrite()
	if _, err := io.ReadAll(c.raw); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("half a record: %v", err)
	}
	eventually(t, "all others have ended", func() bool { return r.d.look(func() bool { return r.d.gone == len(r.d.conns)-1 }) })
}

// TestTLSGoesAwayAndComesBack: what crypto/tls has read and not given goes along with a connection that leaves, both ways.
func TestTLSGoesAwayAndComesBack(t *testing.T) {
	r := newRig(t, echo)
	c := r.secure(tls.VersionTLS13, "")
	r.d.set(func() {
		r.d.direct = func(t *h1.Trip) h1.Verdict {
			if strings.HasPrefix(string(t.Head.Target.Of(t.Buf)), "/away") {
				return h1.Away
			}
			return h1.Forward
		}
	})
	taken := make(chan *h1.Secured, 1)
	r.d.set(func() { r.d.takes = func(s *h1.Secured) { taken <- s } })
	big := strings.Repeat("x", 200_000) // more than a loop reads of a head
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(c, fmt.Sprintf(plainGet, "stays")+"POST /away HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n"+big+fmt.Sprintf(plainGet, "back"))
		sent <- err
	}()
	c.want(t, "/stays ")
	secured := <-taken
	var went away
	r.d.set(func() { went = r.d.away[0] })
	secured.Base.Put(went.conn)
	in := bufio.NewReader(io.MultiReader(strings.NewReader(went.rest), secured.Conn))
	q, err := http.ReadRequest(in)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(q.Body); err != nil || string(body) != big || q.URL.Path != "/away" {
		t.Fatalf("%s: %d bytes, %v", q.URL, len(body), err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	io.WriteString(secured.Conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhere")
	c.want(t, "here")
	rest, err := in.Peek(in.Buffered())
	if err != nil {
		t.Fatal(err)
	}
	r.d.set(func() { r.d.conns = append(r.d.conns, nil) })
	fd := descriptor(t, went.conn)
	went.conn.Close()
	if err := r.e.Adopt(h1.Adoption{FD: fd, TLS: secured, Rest: rest}); err != nil {
		t.Fatal(err)
	}
	c.want(t, "/back ")
	c.ask(t, fmt.Sprintf(plainGet, "again"), "/again ")
}
