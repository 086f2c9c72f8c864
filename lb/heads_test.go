package lb

import (
	"io"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// TestLimitsOfHeadsHoldFromTheNextHeadOn: a change of them alone is obeyed by the very next request of a connection that is kept, in both directions.
func TestLimitsOfHeadsHoldFromTheNextHeadOn(t *testing.T) {
	r, _, wide := limitedRig(t, nil, func(*config.Config) {})
	narrow := wide.Clone()
	narrow.Proxy.Limits = config.HeadLimits{Head: 2 << 10, Target: 1 << 10}
	long := strings.Repeat("a", 3000)
	ask := func(c *rawConn, more string) int {
		t.Helper()
		c.write("GET / HTTP/1.1\r\nHost: h\r\n" + more + "\r\n")
		got := c.response()
		io.Copy(io.Discard, got.Body)
		return got.StatusCode
	}
	c := dialRaw(t, r)
	if got := ask(c, "X: "+long+"\r\n"); got != 200 {
		t.Fatal(got)
	}
	r.apply(narrow)
	if got := ask(c, "X: "+long+"\r\n"); got != 431 {
		t.Errorf("a head that is too large now: %d", got)
	}
	c = dialRaw(t, r)
	if got := ask(c, ""); got != 200 {
		t.Fatal(got)
	}
	r.apply(wide)
	if got := ask(c, "X: "+long+"\r\n"); got != 200 {
		t.Errorf("a head that is allowed now: %d", got)
	}
}

// TestLimitsOfHeadsHoldForTheNextStream: so they are on a connection of HTTP/2 that a loop has.
func TestLimitsOfHeadsHoldForTheNextStream(t *testing.T) {
	if netOnly {
		return // of the loops: net/http's server has the bound with which a connection began
	}
	a := newApp(t, "i1", nil)
	wide := http2Conf(of(a)...)
	r := newRig(t, wide)
	narrow := wide.Clone()
	narrow.Proxy.Limits = config.HeadLimits{Head: 2 << 10, Target: 1 << 10}
	f := dialFramed(t, r)
	stream := uint32(1)
	for _, step := range []struct {
		c    *config.Config
		want string
	}{{wide, "200"}, {narrow, "431"}, {wide, "200"}} {
		r.apply(step.c)
		f.ask(stream, true, get("/", "x", strings.Repeat("a", 6000))...)
		if got := f.outcomeOf(stream); got != step.want {
			t.Errorf("stream %d: %s, want %s", stream, got, step.want)
		}
		stream += 2
	}
}
