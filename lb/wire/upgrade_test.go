package wire_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

const wantsEcho = "Connection: Upgrade\r\nUpgrade: echo\r\n\r\n"

// binary has every byte, and what the guard would refuse as a request.
var binary = func() []byte {
	b := []byte("\n\x00GET  x\r\r\n")
	for i := range 256 {
		b = append(b, byte(i))
	}
	return b
}()

// upgrader switches to an echo of bytes for /echo and refuses elsewhere.
// /early sends an interim response first. /wait... waits first.
func upgrader(wait <-chan struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/early" || r.URL.Path == "/early-no" {
			w.Header().Set("Link", "</a>")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Del("Link")
		}
		if strings.HasPrefix(r.URL.Path, "/wait") {
			<-wait
		}
		switch r.URL.Path {
		case "/echo", "/early", "/wait":
			echo(w)
		default:
			http.Error(w, "no upgrade", http.StatusForbidden)
		}
	})
}

func echo(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	// Head in pieces: the guard must find the status however it is written.
	for _, piece := range []string{"HT", "TP/1.1 10", "1 Switching Protocols\r\n", "Connection: Upgrade\r\nUpgrade: echo\r\n\r\n"} {
		if _, err := io.WriteString(conn, piece); err != nil {
			return
		}
	}
	_, _ = io.Copy(conn, struct{ io.Reader }{conn}) // ends with the client
}

// checkEcho sends binary data both ways and ends the tunnel.
func checkEcho(t *testing.T, c *client, early []byte) {
	t.Helper()
	if _, err := c.Write(binary); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c.in)
	if want := append(bytes.Clone(early), binary...); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("echo of %d bytes is %d bytes, %v", len(want), len(got), err)
	}
}

func TestUpgrade(t *testing.T) {
	backend := httptest.NewServer(upgrader(nil))
	defer backend.Close()
	to, err := url.Parse(backend.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
	stats := new(counter)
	for name, h := range map[string]http.Handler{"handler": upgrader(nil), "proxy": proxy} {
		addr := serve(t, h, wire.Limits{}, stats)
		for _, path := range []string{"/echo", "/early"} {
			for _, early := range []string{"", string(binary), "GET / HTTP/1.1\r\nbad"} {
				t.Run(fmt.Sprintf("%s%s/%d early bytes", name, path, len(early)), func(t *testing.T) {
					c := dial(t, addr)
					c.send(inner + "GET " + path + " HTTP/1.1\r\n" + host + wantsEcho + early)
					c.want("GET", 403, "")
					if path == "/early" {
						c.want("GET", 103, "")
					}
					res, err := http.ReadResponse(c.in, nil)
					if err != nil || res.StatusCode != 101 {
						t.Fatalf("response %v, %v; want 101", res, err)
					}
					checkEcho(t, c, []byte(early))
				})
			}
		}
	}
	if n := stats.count(); n > 0 {
		t.Errorf("%d violations in upgraded connections", n)
	}
}

func TestRefusedUpgrade(t *testing.T) {
	addr := serve(t, upgrader(nil), wire.Limits{}, nil)
	for _, path := range []string{"/no", "/early-no"} {
		ask := "POST " + path + " HTTP/1.1\r\n" + host + "Content-Length: 2\r\n" + strings.TrimSuffix(wantsEcho, "\r\n") + "\r\nhi"
		refused := func(c *client) {
			if path == "/early-no" {
				c.want("POST", 103, "")
			}
			c.want("POST", 403, "no upgrade\n")
		}
		t.Run(path+"/next request", func(t *testing.T) {
			c := dial(t, addr)
			for range 3 {
				c.send(ask)
				refused(c)
			}
			c.send("GET /echo HTTP/1.1\r\n" + host + wantsEcho)
			res, err := http.ReadResponse(c.in, nil)
			if err != nil || res.StatusCode != 101 {
				t.Fatalf("response %v, %v; want 101", res, err)
			}
			checkEcho(t, c, nil)
		})
		t.Run(path+"/pipelined", func(t *testing.T) {
			c := dial(t, addr)
			c.send(ask + ask + inner + "GET / HTTP/1.1\r\nbad\r\n\r\n")
			refused(c)
			refused(c)
			c.want("GET", 403, "no upgrade\n")
			c.want("GET", 400, "invalid header field name\n")
			c.ended()
		})
	}
	t.Run("101 to a request without Upgrade does not open the guard", func(t *testing.T) {
		c := dial(t, addr)
		c.send("GET /echo HTTP/1.1\r\n" + host + "\r\n")
		res, err := http.ReadResponse(c.in, nil)
		if err != nil || res.StatusCode != 101 {
			t.Fatalf("response %v, %v; want 101", res, err)
		}
		c.send("\x00\x00\x00\x00")
		if _, err := io.ReadAll(c.in); err != nil {
			t.Fatal(err)
		}
	})
}

// TestEarlyFlood sends more before the outcome of an upgrade than the guard
// may keep. It stops reading at its limit, and nothing is lost in either case.
func TestEarlyFlood(t *testing.T) {
	flood := func(early []byte, test func(t *testing.T, in *bufio.Reader)) func(t *testing.T) {
		return func(t *testing.T) {
			var wait chan struct{} // of the bubble
			h := func(w http.ResponseWriter, r *http.Request) { upgrader(wait).ServeHTTP(w, r) }
			inBubble(t, h, wire.Limits{Head: 8 << 10}, func(t *testing.T, c net.Conn) {
				wait = make(chan struct{})
				write(c, "GET "+t.Name()[len("TestEarlyFlood"):]+" HTTP/1.1\r\n"+host+wantsEcho)
				sent := false
				go func() {
					_, err := c.Write(early)
					sent = err == nil
				}()
				synctest.Wait()
				if sent {
					t.Errorf("the guard has taken all %d early bytes", len(early))
				}
				close(wait)
				test(t, bufio.NewReader(c))
			})
		}
	}
	data := bytes.Repeat(binary, 800)
	t.Run("wait", flood(data, func(t *testing.T, in *bufio.Reader) {
		res, err := http.ReadResponse(in, nil)
		if err != nil || res.StatusCode != 101 {
			t.Fatalf("response %v, %v; want 101", res, err)
		}
		got := make([]byte, len(data))
		if _, err := io.ReadFull(in, got); err != nil || !bytes.Equal(got, data) {
			t.Errorf("echo differs, %v", err)
		}
	}))
	const requests = 1000
	t.Run("wait-no", flood([]byte(strings.Repeat(inner, requests)), func(t *testing.T, in *bufio.Reader) {
		for i := range requests + 1 {
			res, err := http.ReadResponse(in, nil)
			if err != nil || res.StatusCode != 403 {
				t.Fatalf("response %d is %v, %v; want 403", i, res, err)
			}
			if _, err := io.Copy(io.Discard, res.Body); err != nil {
				t.Fatal(err)
			}
		}
	}))
}

func TestFromConn(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if c := wire.FromConn(a); c != nil {
		t.Errorf("FromConn of a plain connection gives %v", c)
	}
	l := wire.NewListener(pipeListener{a}, wire.Limits{}, nil)
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if got := wire.FromConn(wrapped{c}); got != c {
		t.Errorf("FromConn of a wrapped connection gives %v, want %v", got, c)
	}
}

type wrapped struct{ net.Conn }

func (w wrapped) NetConn() net.Conn { return w.Conn }

type pipeListener struct{ conn net.Conn }

func (l pipeListener) Accept() (net.Conn, error) { return l.conn, nil }
func (pipeListener) Close() error                { return nil }
func (l pipeListener) Addr() net.Addr            { return l.conn.LocalAddr() }
