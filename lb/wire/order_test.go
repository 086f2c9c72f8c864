package wire_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

const badHead = "GET /bad HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"

// TestSlowHandler refuses a request while the handler of the one before is in
// the middle of its response. That response must come out whole, its request
// must not be cancelled, and the refusal comes behind it.
func TestSlowHandler(t *testing.T) {
	requests := map[string]string{
		"no body":      "GET /slow HTTP/1.1\r\n" + host + "\r\n",
		"length":       "POST /slow HTTP/1.1\r\n" + host + "Content-Length: 4\r\n\r\nbody",
		"chunked":      "POST /slow HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n" + chunked("body", 3),
		"unread":       "POST /unread HTTP/1.1\r\n" + host + "Content-Length: 4\r\n\r\nbody",
		"bad upgrade":  "GET /slow HTTP/1.1\r\n" + host + "Upgrade: echo\r\n\r\n",
		"HTTP/1.0":     "GET /slow HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
		"two requests": "GET /quick HTTP/1.1\r\n" + host + "\r\nGET /slow HTTP/1.1\r\n" + host + "\r\n",
	}
	for name, raw := range requests {
		for _, bad := range []string{badHead, "\x00", "GET / HTTP/2.0\r\n\r\n"} {
			t.Run(fmt.Sprintf("%s/%.3q", name, bad), func(t *testing.T) {
				stats := &counter{hit: make(chan *wire.Error, 1)}
				addr := serve(t, halfway(stats.hit), wire.Limits{}, stats)
				c := dial(t, addr)
				c.send(raw + bad)
				if name == "two requests" {
					c.want("GET", 200, "quick")
				}
				res := c.want("GET", 200, "first half, second half, context <nil>")
				if res.Close && name != "HTTP/1.0" {
					t.Error("the good response ends the connection")
				}
				res, _, err := c.response("GET")
				if err != nil || res.StatusCode/100 == 2 || !res.Close {
					t.Fatalf("the refusal is %v, %v", res, err)
				}
				c.ended()
			})
		}
	}
}

// halfway writes half of a response, waits until the guard has refused the
// next request, and writes the other half.
func halfway(refused <-chan *wire.Error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/quick" {
			fmt.Fprint(w, "quick")
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(len("first half, second half, context <nil>")))
		if r.URL.Path != "/unread" {
			_, _ = io.Copy(io.Discard, r.Body) // a failure shows in the context
		}
		fmt.Fprint(w, "first half, ")
		_ = http.NewResponseController(w).Flush()
		if r.URL.Path != "/unread" { // net/http looks ahead only behind the body
			<-refused
		}
		fmt.Fprintf(w, "second half, context %v", r.Context().Err())
	})
}

// TestNoAnswerAfterClose has a handler that ends the connection: then a
// refusal behind it would be a response that nobody asked for.
func TestNoAnswerAfterClose(t *testing.T) {
	stats := &counter{hit: make(chan *wire.Error, 1)}
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		<-stats.hit
	}), wire.Limits{}, stats)
	c := dial(t, addr)
	c.send(inner + badHead)
	c.want("GET", 200, "")
	c.ended()
}

// TestAbortedHandler has a handler that gives up without a response.
func TestAbortedHandler(t *testing.T) {
	stats := &counter{hit: make(chan *wire.Error, 1)}
	addr := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		<-stats.hit
		panic(http.ErrAbortHandler)
	}), wire.Limits{}, stats)
	c := dial(t, addr)
	c.send(inner + badHead)
	c.ended()
}

// TestAnswerSurvivesUpload sends on after the violation. Without a graceful
// close the unread bytes would turn into a reset that eats the answer.
func TestAnswerSurvivesUpload(t *testing.T) {
	addr := serve(t, new(recorder), wire.Limits{}, nil)
	junk := strings.Repeat("x", 200<<10)
	for name, raw := range map[string]string{
		"head": badHead + junk,
		"body": "POST /b HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nzz\r\n" + junk,
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, addr)
			c.send(raw)
			c.want("GET", 400, "")
			c.ended()
		})
	}
}

func TestRefusedHEAD(t *testing.T) {
	addr := serve(t, new(recorder), wire.Limits{}, nil)
	for _, step := range []int{0, 1} {
		c := dial(t, addr)
		sendSplit(c, "HEAD /a HTTP/1.1\r\n\r\n", step)
		all, err := io.ReadAll(c.in)
		if err != nil || !bytes.HasPrefix(all, []byte("HTTP/1.1 400 ")) || !bytes.HasSuffix(all, []byte("\r\n\r\n")) {
			t.Errorf("refusal of HEAD: %q, %v; want a 400 without content", all, err)
		}
	}
}

// TestClientGone checks that the guard does not hide a client's end from a
// handler, which the proxy needs to give up its own request.
func TestClientGone(t *testing.T) {
	for name, raw := range map[string]string{
		"plain":   "GET / HTTP/1.1\r\n" + host + "\r\n",
		"upgrade": "GET / HTTP/1.1\r\n" + host + wantsEcho,
		"blank":   "GET / HTTP/1.1\r\n" + host + "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			here, gone := make(chan struct{}), make(chan struct{})
			addr := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				close(here)
				<-r.Context().Done()
				close(gone)
			}), wire.Limits{}, nil)
			c := dial(t, addr)
			c.send(raw)
			<-here
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			<-gone
		})
	}
}
