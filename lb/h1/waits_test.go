//go:build linux

package h1_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/holdfast-lb/holdfast/lb/h1"
)

// waits is a director's function that says Wait until it is let go, and then what it is told.
type waits struct {
	times   atomic.Int32
	verdict atomic.Int32
}

func (w *waits) ask(t *h1.Trip) h1.Verdict {
	w.times.Add(1)
	if v := h1.Verdict(w.verdict.Load()); v != 0 {
		if v == h1.Refuse {
			t.Status, t.Page = 503, []byte("no")
		}
		return v
	}
	return h1.Wait
}

func (w *waits) let(v h1.Verdict) { w.verdict.Store(int32(v)) }

// TestWaitInDirect and in Answer: the request stands still, others go on, and then every verdict is possible.
func TestTripsThatWait(t *testing.T) {
	large := string(pattern(200_000))
	for _, where := range []string{"direct", "answer"} {
		for verdict, status := range map[h1.Verdict]int{h1.Forward: 200, h1.Refuse: 503, h1.Away: 0} {
			t.Run(fmt.Sprint(where, status), func(t *testing.T) {
				r := newRig(t, answers("HTTP/1.1 103 Early\r\n\r\n"+fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(large), large)))
				other := r.dial()
				other.say(get("/"))
				other.answer("GET")
				other.answer("GET")
				w := &waits{}
				r.d.set(func() {
					if where == "direct" {
						r.d.direct = w.ask
					} else {
						r.d.answer = w.ask
					}
				})
				c := r.dial()
				text := "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
				c.say(text + get("/next"))
				eventually(t, "asked", func() bool { return w.times.Load() == 1 })
				r.conn().Resume() // too early
				eventually(t, "asked again", func() bool { return w.times.Load() == 2 })
				r.d.set(func() { r.d.direct, r.d.answer = nil, nil })
				other.say(get("/"))
				other.answer("GET")
				other.answer("GET")
				r.d.set(func() {
					if where == "direct" {
						r.d.direct = w.ask
					} else {
						r.d.answer = w.ask
					}
				})
				w.let(verdict)
				r.conn().Resume()
				if verdict == h1.Away {
					r.wait("away", func() bool { return len(r.d.away) == 1 && len(r.d.done) == 3 })
					if got := r.d.away[0].rest; got != text+get("/next") || r.d.done[2].status != 0 {
						t.Errorf("%q %+v", got, r.d.done)
					}
					return
				}
				interim := where == "answer" || verdict == h1.Forward
				for range 2 {
					if interim {
						c.answer("GET")
					}
					resp, body := c.answer("GET")
					if want := map[int]string{200: large, 503: "no"}[status]; resp.StatusCode != status || body != want {
						t.Errorf("%d, %d bytes", resp.StatusCode, len(body))
					}
				}
				r.wait("accounts", func() bool { return len(r.d.done) >= 3 })
				r.conn().Resume() // nothing waits
			})
		}
	}
}

// TestClientsThatVanishWhileTheirTripWaits are accounted for.
func TestClientsThatVanishWhileTheirTripWaits(t *testing.T) {
	for _, where := range []string{"direct", "answer"} {
		r := newRig(t, answers(hello))
		w := &waits{}
		r.d.set(func() {
			if where == "direct" {
				r.d.direct = w.ask
			} else {
				r.d.answer = w.ask
			}
		})
		c := r.dial()
		c.say(get("/"))
		eventually(t, "asked", func() bool { return w.times.Load() == 1 })
		c.SetLinger(0)
		c.Close()
		r.wait("account", func() bool { return len(r.d.done) == 1 && r.d.done[0].failure == h1.FailClient && r.d.gone == 1 })
		r.conn().Resume()
		eventually(t, "no connection to the instance stays", func() bool { return r.d.origin.Open() == 0 })
	}
}

// TestRefusals say that nobody should keep them, and have the director's lines.
func TestRefusals(t *testing.T) {
	r := newRig(t, answers(hello))
	r.d.set(func() {
		r.d.direct = func(t *h1.Trip) h1.Verdict {
			t.Status, t.Page = 503, []byte("later")
			t.Reply.AddString("Retry-After", "1")
			return h1.Refuse
		}
	})
	c := r.dial()
	c.say(get("/"))
	resp, _ := c.answer("GET")
	if h := resp.Header; h.Get("Retry-After") != "1" || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%v", h)
	}
	c.say("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
	if resp, _ := c.answer("HEAD"); resp.ContentLength != 5 {
		t.Errorf("%d", resp.ContentLength)
	}
	c.say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc")
	if got := c.raw(); !strings.Contains(got, "Connection: close\r\n") {
		t.Errorf("%q", got)
	}
}
