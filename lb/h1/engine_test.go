//go:build linux

package h1_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-lb/holdfast/lb/h1"
)

const hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: x\r\n\r\nhello"

func get(target string, lines ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: a.example\r\n" + strings.Join(lines, "") + "\r\n"
}

// TestRequestsAndResponsesPass: keep-alive on both sides, heads edited, fields of one hop dropped.
func TestRequestsAndResponsesPass(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	r := newRig(t, func(c *originConn) {
		for req := c.request(); req != nil; req = c.request() {
			mu.Lock()
			seen = append(seen, fmt.Sprint(req.Method, " ", req.RequestURI, " ", req.Host, " ", req.Header))
			mu.Unlock()
			c.say("HTTP/1.1 201 Made\r\nContent-Length: 2\r\nX-One: 1\r\nX-Two: 2\r\nKeep-Alive: timeout=5\r\nConnection: x-three\r\nX-Three: 3\r\n\r\nok")
		}
	})
	r.d.set(func() {
		r.d.direct = func(t *h1.Trip) h1.Verdict {
			for i, f := range t.Head.Fields() {
				switch string(f.Name.Of(t.Buf)) {
				case "X-Drop":
					t.Edit.Drop(i)
				case "X-Set":
					t.Edit.Set(i, []byte("new\r\nvalue"))
				}
			}
			t.Edit.AddString("X-Added", "yes")
			return h1.Forward
		}
	})
	r.d.set(func() {
		r.d.answer = func(t *h1.Trip) h1.Verdict {
			for i, f := range t.Answer.Fields() {
				if string(f.Name.Of(t.AnswerBuf)) == "X-One" {
					t.Reply.Drop(i)
				}
			}
			t.Reply.AddString("X-Reply", "yes")
			return h1.Forward
		}
	})
	c := r.dial()
	for i := range 3 {
		c.say(get(fmt.Sprintf("/a?b=%d", i), "X-Drop: 1\r\n", "X-Set: old\r\n", "X-Stay: 2\r\n", "Connection: keep-alive, x-gone\r\n", "X-Gone: 1\r\n"))
		resp, body := c.answer("GET")
		h := resp.Header
		if resp.StatusCode != 201 || resp.Status != "201 Made" || body != "ok" || h.Get("X-One") != "" || h.Get("X-Two") != "2" || h.Get("X-Three") != "" ||
			h.Get("X-Reply") != "yes" || h.Get("Keep-Alive") != "" || h.Get("Date") == "" || resp.Close {
			t.Fatalf("%s %v %q", resp.Status, h, body)
		}
	}
	r.wait("three trips", func() bool { return len(r.d.done) == 3 })
	mu.Lock()
	defer mu.Unlock()
	for i, s := range seen {
		if want := fmt.Sprintf("GET /a?b=%d a.example map[X-Added:[yes] X-Set:[new  value] X-Stay:[2]]", i); s != want {
			t.Errorf("the origin saw %s, want %s", s, want)
		}
	}
	if dialled, reused := r.d.origin.Used(); dialled != 1 || reused != 2 {
		t.Errorf("%d connections to the origin, %d used again", dialled, reused)
	}
	if d := r.d.done[2]; d != (done{status: 201, sent: 2, attempts: 1}) {
		t.Errorf("accounted %+v", d)
	}
}

// TestWhatThereIsNoContentIn: responses without a body keep what they say about one, and the next response is found.
func TestWhatThereIsNoContentIn(t *testing.T) {
	for _, c := range []struct{ method, answer, length, coding string }{
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n", "77", ""},
		{"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "", "[chunked]"},
		{"HEAD", "HTTP/1.1 200 OK\r\n\r\n", "", ""},
		{"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n", "77", ""},
		{"GET", "HTTP/1.1 204 No Content\r\n\r\n", "", ""},
		{"GET", "HTTP/1.1 204\r\nContent-Length: 0\r\n\r\n", "", ""},
		{"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "0", ""},
	} {
		r := newRig(t, answers(c.answer))
		cl := r.dial()
		for range 2 {
			cl.say(c.method + " / HTTP/1.1\r\nHost: a\r\n\r\n")
			resp, body := cl.answer(c.method)
			if resp.Header.Get("Content-Length") != c.length || body != "" || resp.Close ||
				(c.coding != "") != (len(resp.TransferEncoding) > 0) {
				t.Errorf("%s %q: %v %v", c.method, c.answer, resp.Header, resp.TransferEncoding)
			}
		}
		if dialled, _ := r.d.origin.Used(); dialled != 1 {
			t.Errorf("%s %q: %d connections", c.method, c.answer, dialled)
		}
	}
}

// TestPipelinedRequestsAreAnsweredInOrder, also when some are refused and all come in one piece.
func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	r := newRig(t, func(c *originConn) {
		for req := c.request(); req != nil; req = c.request() {
			c.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(req.URL.Path), req.URL.Path))
		}
	})
	r.d.set(func() {
		r.d.direct = func(t *h1.Trip) h1.Verdict {
			if strings.HasSuffix(string(t.Head.Target.Of(t.Buf)), "3") {
				t.Status, t.Page = 418, []byte("no")
				return h1.Refuse
			}
			return h1.Forward
		}
	})
	c := r.dial()
	const n = 500
	var all strings.Builder
	for i := range n {
		all.WriteString(get(fmt.Sprintf("/%d", i)))
	}
	go c.TCPConn.Write([]byte(all.String()))
	for i := range n {
		resp, body := c.answer("GET")
		status, want := 200, fmt.Sprintf("/%d", i)
		if i%10 == 3 {
			status, want = 418, "no"
		}
		if resp.StatusCode != status || body != want {
			t.Fatalf("response %d: %d %q", i, resp.StatusCode, body)
		}
	}
}

// TestWhatGoesAway: what the loops do not take goes to the other engine with every byte, also what came behind it.
func TestWhatGoesAway(t *testing.T) {
	for _, c := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nmore",
		"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n",
		"POST /away HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc",
	} {
		r := newRig(t, answers(hello))
		r.d.set(func() {
			r.d.direct = func(t *h1.Trip) h1.Verdict {
				if string(t.Head.Target.Of(t.Buf)) == "/away" {
					return h1.Away
				}
				return h1.Forward
			}
		})
		cl := r.dial()
		cl.say(get("/first"))
		cl.answer("GET")
		cl.say(c)
		r.wait("away", func() bool { return len(r.d.away) == 1 })
		if got := r.d.away[0].rest; got != c {
			t.Errorf("rest %q, want %q", got, c)
		}
		fmt.Fprint(r.d.away[0].conn, "HTTP/1.1 299 Other\r\nContent-Length: 0\r\n\r\n")
		if resp, _ := cl.answer("GET"); resp.StatusCode != 299 {
			t.Errorf("%d", resp.StatusCode)
		}
	}
}

// TestOldClients: HTTP/1.0 with and without keep-alive; a body whose end only the connection can say.
func TestOldClients(t *testing.T) {
	r := newRig(t, answers(hello))
	c := r.dial()
	c.say("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
	resp, _ := c.answer("GET")
	if resp.Close {
		t.Errorf("%v", resp.Header)
	}
	c.say("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
	if got := c.raw(); !strings.HasSuffix(got, "hello") || !strings.Contains(got, "Connection: close\r\n") {
		t.Errorf("%q", got)
	}
	r = newRig(t, answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n"))
	c = r.dial()
	c.say("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
	if got := c.raw(); !strings.HasSuffix(got, "\r\n\r\nabcde") || !strings.Contains(got, "Connection: close\r\n") || strings.Contains(got, "ransfer") {
		t.Errorf("%q", got)
	}
}

// TestBodiesOfResponses: chunked with trailers, and one that ends with its connection.
func TestBodiesOfResponses(t *testing.T) {
	r := newRig(t, answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3;a=b\r\nabc\r\n002\r\nde\r\n0\r\nX: y\r\nX-Own: forged\r\n\r\n"),
		func(o *h1.Options) { o.Own = []string{"X-Own"} })
	c := r.dial()
	for range 2 {
		c.say(get("/"))
		resp, body := c.answer("GET")
		if body != "abcde" || resp.Trailer.Get("X") != "y" || resp.Trailer.Get("X-Own") != "" || resp.Close {
			t.Errorf("%q %v %v", body, resp.Trailer, resp.Header)
		}
	}
	r = newRig(t, func(c *originConn) {
		c.request()
		c.say("HTTP/1.1 200 OK\r\n\r\nto the end")
	})
	c = r.dial()
	for range 2 {
		c.say(get("/"))
		if resp, body := c.answer("GET"); body != "to the end" || resp.ContentLength != -1 || resp.Close {
			t.Errorf("%q %v", body, resp.Header)
		}
	}
}

// TestInterimResponses pass to those that know them, without end they do not.
func TestInterimResponses(t *testing.T) {
	r := newRig(t, answers("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-Edit: it\r\nX-Own: forged\r\nConnection: X-Hop\r\nX-Hop: a\r\n\r\n"+hello), func(o *h1.Options) { o.Own = []string{"x-own"} })
	c := r.dial()
	for range 2 {
		c.say(get("/"))
		resp, _ := c.answer("GET")
		if resp.StatusCode != 103 || resp.Header.Get("Link") != "</a>" || resp.Header.Get("X-Edit") != "edited it" || len(resp.Header) != 2 {
			t.Fatalf("%d %v", resp.StatusCode, resp.Header)
		}
		if resp, body := c.answer("GET"); resp.StatusCode != 200 || body != "hello" {
			t.Errorf("%d %q", resp.StatusCode, body)
		}
	}
	c = r.dial()
	c.say("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
	if got := c.raw(); !strings.HasPrefix(got, "HTTP/1.1 200") {
		t.Errorf("%q", got)
	}
	r = newRig(t, func(c *originConn) {
		for c.request(); ; {
			if _, err := c.Write([]byte("HTTP/1.1 102 Processing\r\n\r\n")); err != nil {
				return
			}
		}
	})
	c = r.dial()
	c.say(get("/"))
	for {
		resp, body := c.answer("GET")
		if resp.StatusCode == http.StatusBadGateway && body == "bad" {
			break
		}
		if resp.StatusCode != 102 {
			t.Fatalf("%d %q", resp.StatusCode, body)
		}
	}
}
