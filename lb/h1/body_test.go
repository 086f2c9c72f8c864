//go:build linux

package h1_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/lb/h1"
)

// digests serves requests by saying what their bodies were.
func digests(c *originConn) {
	for digestOne(c) {
	}
}

func digestOne(c *originConn) bool {
	req, err := http.ReadRequest(c.r)
	if err != nil {
		return false
	}
	sum := sha256.New()
	n, err := io.Copy(sum, req.Body)
	if err != nil {
		return false
	}
	text := fmt.Sprintf("%d %x %v %v %d", n, sum.Sum(nil)[:8], req.TransferEncoding, req.Trailer, req.ContentLength)
	c.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text))
	return true
}

func digest(b []byte, coding, trailer string, length int) string {
	sum := sha256.Sum256(b)
	return fmt.Sprintf("%d %x %s %s %d", len(b), sum[:8], coding, trailer, length)
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>16 ^ i>>8 ^ i)
	}
	return b
}

// chunked codes b in pieces of different sizes.
func chunked(b []byte, trailer string) string {
	var s strings.Builder
	for n := 1; len(b) > 0; n = n*3 + 1 {
		n = min(n, len(b), 100_000)
		fmt.Fprintf(&s, "%x\r\n%s\r\n", n, b[:n])
		b = b[n:]
	}
	return s.String() + "0\r\n" + trailer + "\r\n"
}

// TestBodiesOfRequests: with a length and chunked, in one piece with the head or streamed, with another request behind them.
func TestBodiesOfRequests(t *testing.T) {
	r := newRig(t, digests)
	for _, size := range []int{0, 1, 1000, 5000, 60_000, 70_000, 3 << 20} {
		body := pattern(size)
		for _, coded := range []bool{false, true} {
			c := r.dial()
			head := "POST / HTTP/1.1\r\nHost: a\r\n"
			want := digest(body, "[]", "map[]", size)
			text := fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, size, body)
			if coded {
				text = head + "Transfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n" + chunked(body, "X-T: z\r\n")
				want = digest(body, "[chunked]", "map[X-T:[z]]", -1)
			}
			go io.WriteString(c.TCPConn, text+text+get("/"))
			for range 2 {
				if _, got := c.answer("POST"); got != want {
					t.Fatalf("size %d, coded %v: %s, want %s", size, coded, got, want)
				}
			}
			if _, got := c.answer("GET"); got != digest(nil, "[]", "map[]", 0) {
				t.Fatalf("the request behind a body of %d (coded %v): %s", size, coded, got)
			}
			c.Close()
		}
	}
	r.wait("accounts", func() bool { return len(r.d.done) == 42 })
	for _, d := range r.d.done {
		if d.failure != h1.FailNone || d.status != 200 {
			t.Errorf("%+v", d)
		}
	}
}

// TestBodiesOfRequestsByteByByte: the same when nothing comes in one piece.
func TestBodiesOfRequestsByteByByte(t *testing.T) {
	r := newRig(t, digests)
	c := r.dial()
	for _, b := range []byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked([]byte("hello"), "") + get("/")) {
		c.say(string(b))
	}
	if _, got := c.answer("POST"); got != digest([]byte("hello"), "[chunked]", "map[]", -1) {
		t.Error(got)
	}
	c.answer("GET")
}

// TestBodiesThatInstancesTakeLate arrive whole, whatever is full by the time when the instance begins to read.
func TestBodiesThatInstancesTakeLate(t *testing.T) {
	gate := make(chan struct{})
	r := newRig(t, func(c *originConn) {
		c.Conn.(*net.TCPConn).SetReadBuffer(64 << 10)
		for {
			if _, err := c.r.Peek(1); err != nil {
				return
			}
			<-gate
			digestOne(c)
		}
	})
	for size := 300_000; size < 5_000_000; size += 300_000 {
		for _, coded := range []bool{false, true} {
			body := pattern(size)
			text, want := fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body), digest(body, "[]", "map[]", len(body))
			if coded {
				text, want = "Transfer-Encoding: chunked\r\n\r\n"+chunked(body, ""), digest(body, "[chunked]", "map[]", -1)
			}
			c := r.dial()
			written := make(chan struct{})
			go func() {
				io.WriteString(c.TCPConn, "POST / HTTP/1.1\r\nHost: a\r\n"+text)
				close(written)
			}()
			select {
			case <-written:
			case <-time.After(50 * time.Millisecond): // more than there is room for
			}
			gate <- struct{}{}
			if _, got := c.answer("POST"); got != want {
				t.Fatalf("%d bytes, coded %v: %s, want %s", len(body), coded, got, want)
			}
			c.Close()
		}
	}
}

// TestBodiesThatBreakTheirFraming give 400, and the instance never sees an end of them.
func TestBodiesThatBreakTheirFraming(t *testing.T) {
	for _, c := range []struct {
		name, first, second string
		closes              bool
		status              int
	}{
		{"bad chunk in the first piece", "Transfer-Encoding: chunked\r\n\r\nx\r\n", "", false, 400},
		{"bad chunk later", "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n", "zz\r\n", false, 400},
		{"forbidden trailer", "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n", "0\r\nContent-Length: 3\r\n\r\n", false, 400},
		{"end within a length", "Content-Length: 10\r\n\r\nabc", "", true, 400},
		{"end within a chunk", "Transfer-Encoding: chunked\r\n\r\n5\r\nab", "", true, 400},
		{"nothing more", "Content-Length: 10\r\n\r\nabc", "", false, 408},
	} {
		ended := make(chan error, 1)
		r := newRig(t, func(o *originConn) {
			req, err := http.ReadRequest(o.r)
			if err == nil {
				_, err = io.ReadAll(req.Body)
			}
			ended <- err
		}, func(o *h1.Options) {
			if c.status == 408 {
				o.Limits.Body = 300 * time.Millisecond
			}
		})
		cl := r.dial()
		cl.say("POST / HTTP/1.1\r\nHost: a\r\n" + c.first)
		if c.name != "bad chunk in the first piece" {
			r.wait("asked", func() bool { return r.d.asked == 1 })
		}
		cl.say(c.second)
		if c.closes {
			cl.CloseWrite()
		}
		resp, _ := cl.answer("POST")
		if resp.StatusCode != c.status || !resp.Close {
			t.Errorf("%s: %d %v", c.name, resp.StatusCode, resp.Header)
		}
		cl.ends()
		if c.name == "bad chunk in the first piece" {
			continue
		}
		if err := <-ended; err == nil {
			t.Errorf("%s: the instance saw a whole request", c.name)
		}
		r.wait("account", func() bool { return len(r.d.done) == 1 && r.d.done[0].failure == h1.FailClient })
	}
}

// TestLargeResponses pass whole, also to a client that takes them slowly, in every framing.
func TestLargeResponses(t *testing.T) {
	body := pattern(9 << 20)
	for name, head := range map[string]string{
		"length": fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body),
		"coded":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(body, ""),
		"close":  "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + string(body),
	} {
		r := newRig(t, func(c *originConn) {
			for c.request() != nil {
				c.say(head)
				if name == "close" {
					return
				}
			}
		})
		for _, slow := range []bool{false, true} {
			c := r.dial()
			if slow {
				if err := c.SetReadBuffer(64 << 10); err != nil {
					t.Fatal(err)
				}
			}
			c.say(get("/"))
			if _, got := c.answer("GET"); got != string(body) {
				t.Errorf("%s, slow %v: %d bytes, or others", name, slow, len(got))
			}
			c.say(get("/"))
			if _, got := c.answer("GET"); got != string(body) {
				t.Errorf("%s, slow %v, again: %d bytes, or others", name, slow, len(got))
			}
		}
	}
}

// TestAResponseMayComeBeforeTheRequestIsWhole: both go on at once, and then the connection ends.
func TestAResponseMayComeBeforeTheRequestIsWhole(t *testing.T) {
	r := newRig(t, func(c *originConn) { // an echo
		req, err := http.ReadRequest(c.r)
		if err != nil {
			return
		}
		c.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", req.ContentLength))
		io.Copy(c.Conn, req.Body)
	})
	body := pattern(5 << 20)
	c := r.dial()
	c.say(fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(body), body[:100_000]))
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	go c.TCPConn.Write(body[100_000:])
	got, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Equal(got, body) || !resp.Close {
		t.Errorf("%d bytes, %v, %v", len(got), resp.Header, err)
	}
	c.ends()
}

// TestAnInstanceThatRefusesABody: it answers and closes without reading; the client gets the answer.
func TestAnInstanceThatRefusesABody(t *testing.T) {
	r := newRig(t, func(c *originConn) {
		if _, err := http.ReadRequest(c.r); err != nil {
			return
		}
		c.say("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
	})
	c := r.dial()
	c.say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
	go io.Copy(c.TCPConn, io.LimitReader(zeros{}, 1e8))
	if resp, body := c.answer("POST"); resp.StatusCode != 413 || body != "big" || !resp.Close {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// TestHalfClosedClients get their response.
func TestHalfClosedClients(t *testing.T) {
	gate := make(chan struct{})
	r := newRig(t, func(c *originConn) {
		if c.request() != nil {
			<-gate
			c.say(hello)
		}
	})
	c := r.dial()
	c.say(get("/"))
	c.CloseWrite()
	r.wait("asked", func() bool { return r.d.asked == 1 })
	close(gate)
	if _, body := c.answer("GET"); body != "hello" {
		t.Error(body)
	}
	c.ends()
}

// TestNothingIsBufferedWithoutEnd: an instance that sends and a client that takes nothing; and the other way round.
func TestNothingIsBufferedWithoutEnd(t *testing.T) {
	var sent counter
	r := newRig(t, func(c *originConn) {
		if c.request() != nil {
			c.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			chunk := append(append([]byte("8000\r\n"), bytes.Repeat([]byte("x"), 0x8000)...), "\r\n"...)
			for {
				n, err := c.Write(chunk)
				sent.add(n)
				if err != nil {
					return
				}
			}
		}
	}, func(o *h1.Options) { o.Limits.Write = time.Second })
	c := r.dial()
	c.SetReadBuffer(4 << 10)
	c.say(get("/"))
	r.wait("the client is given up", func() bool { return len(r.d.done) == 1 && r.d.done[0].failure == h1.FailClient })
	if n := sent.get(); n < 100_000 || n > 24<<20 { // what the kernel keeps for three sockets, and one buffer
		t.Errorf("the instance could send %d bytes", n)
	}

	release := make(chan struct{})
	r = newRig(t, func(c *originConn) {
		c.Conn.(interface{ SetReadBuffer(int) error }).SetReadBuffer(4 << 10)
		<-release
	})
	defer close(release)
	r.d.set(func() { r.d.direct = func(t *h1.Trip) h1.Verdict { t.Timeout = time.Second; return h1.Forward } })
	c = r.dial()
	go func() {
		fmt.Fprint(c.TCPConn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
		n, _ := io.Copy(c.TCPConn, io.LimitReader(zeros{}, 1e9))
		sent.set(int(n))
	}()
	if resp, body := c.answer("POST"); resp.StatusCode != 504 || body != "timeout" {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
	c.Close()
	eventually(t, "the client has stopped", func() bool { return sent.get() < 64<<20 })
}
