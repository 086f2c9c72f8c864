package lb

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// bodiless are the ways to say that a body follows that does not.
var bodiless = map[string]string{
	"length": "Content-Length: 10\r\n\r\n", "half of it": "Content-Length: 10\r\n\r\nabc", "a large one": "Content-Length: 1000000\r\n\r\n", "chunked": "Transfer-Encoding: chunked\r\n\r\n",
	"half a chunk": "Transfer-Encoding: chunked\r\n\r\na\r\nabc", "no end": "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "expect": "Expect: 100-continue\r\nContent-Length: 10\r\n\r\n",
}

// wantLastWords wants an answer that does not wait for the client's body, and says that it is the last; then the end of the stream although the client goes on sending. Soon
// the connection is gone, also when the client lingers on.
func wantLastWords(t *testing.T, r *rig, request string, status, others int, lingers bool) {
	t.Helper()
	c := dialRaw(t, r)
	c.SetDeadline(time.Now().Add(10 * time.Second))
	c.write(request)
	got := c.response()
	if _, err := io.Copy(io.Discard, got.Body); got.StatusCode != status || !got.Close || err != nil {
		t.Errorf("%d, last %v, %v; want %d", got.StatusCode, got.Close, err, status)
	}
	c.Conn.Write([]byte("more of the body")) // nobody answers with a reset
	if rest, err := io.ReadAll(c.in); len(rest) > 0 || err != nil {
		t.Errorf("behind the answer: %q, %v", rest, err)
	}
	if !lingers {
		c.Close()
	}
	eventually(t, "the connection is closed", func() bool { return r.b.countOpen() == others })
}

// TestOwnAnswersDoNotWaitForTheBody: whatever Holdfast says by itself is said at once, however little the client sends of its body, with and without a time-out for bodies.
func TestOwnAnswersDoNotWaitForTheBody(t *testing.T) {
	over := make(chan struct{})
	a := newApp(t, "i1", func(http.ResponseWriter, *http.Request) { <-over })
	defer close(over)
	base := conf(of(a)...)
	base.Clusters[0].Affinity.Type, base.Clusters[0].Health.Type = "none", "none"
	base.Clusters[0].Modules[0].ContextRoot = "/app"
	for name, c := range map[string]struct {
		target string
		status int
		full   bool // another request takes the place of this one
		change func(*config.Config)
	}{
		"no module":    {"/nowhere", 404, false, func(*config.Config) {}},
		"one client's": {"/app", 429, true, func(c *config.Config) { c.Clusters[0].Modules[0].Limits.PerClient.Connections = 1 }},
		"module's":     {"/app", 503, true, func(c *config.Config) { c.Clusters[0].Modules[0].Limits.Connections = 1 }},
		"a file":       {"/files/none", 404, false, func(c *config.Config) { c.Proxy.FilesPath = "/files/" }},
		"no instance":  {"/app", 503, false, func(c *config.Config) { c.Clusters[0].Modules[0].Enabled = false }},
		"dead":         {"/app", 503, false, func(c *config.Config) { c.Clusters[0].Instances[0].Listeners = []string{deadURL(t)} }},
	} {
		for _, patience := range []config.Duration{0, config.Duration(time.Minute)} {
			t.Run(name, func(t *testing.T) {
				cc := clone(base)
				cc.Proxy.Timeouts.RequestBody = patience
				c.change(cc)
				r := newRig(t, cc)
				others := 0
				if c.full {
					before := a.count()
					first := dialRaw(t, r)
					first.write("GET /app HTTP/1.1\r\nHost: h\r\n\r\n")
					defer first.Close()
					eventually(t, "it is there", func() bool { return a.count() > before })
					others = 1
				}
				for way, rest := range bodiless {
					t.Run(way, func(t *testing.T) {
						wantLastWords(t, r, "POST "+c.target+" HTTP/1.1\r\nHost: h\r\n"+rest, c.status, others, way == "half of it" && patience > 0)
					})
				}
			})
		}
	}
}

// TestTooLargeBodyIsNotWaitedFor: nor is the rest of one that has turned out to be too large.
func TestTooLargeBodyIsNotWaitedFor(t *testing.T) {
	r, _, _ := limitedRig(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }, func(c *config.Config) {
		c.Clusters[0].Affinity.Type, c.Proxy.Limits.Body = "none", 5
	})
	for _, rest := range []string{"Content-Length: 10\r\n\r\n", "Content-Length: 10\r\n\r\nabcdef", "Transfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n", "Transfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\nf"} {
		wantLastWords(t, r, "POST / HTTP/1.1\r\nHost: h\r\n"+rest, 413, 0, false)
	}
}

// TestOwnAnswersKeepTheConnection of a request whose body has come.
func TestOwnAnswersKeepTheConnection(t *testing.T) {
	cc := conf()
	cc.Clusters[0].Modules[0].ContextRoot = "/app"
	r := newRig(t, cc)
	c := dialRaw(t, r)
	for _, body := range []string{"Content-Length: 3\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n", "\r\n"} {
		for _, path := range []string{"/", "/app"} {
			c.write("POST " + path + " HTTP/1.1\r\nHost: h\r\n" + body)
			got := c.response()
			if _, err := io.Copy(io.Discard, got.Body); got.StatusCode/100 == 2 || got.Close || err != nil {
				t.Errorf("%q: %d, last %v, %v", body, got.StatusCode, got.Close, err)
			}
		}
	}
}

// TestEarlyAnswersSurviveTheUpload: an instance that answers before it has read the body has its answer reach a client who goes on sending, in whichever framing and whether the
// body is kept to be sent again or not; and the client is told that the connection ends.
func TestEarlyAnswersSurviveTheUpload(t *testing.T) {
	url, _ := rawInstance(t, "HTTP/1.1 401 No\r\nContent-Length: 5\r\n\r\nlogin")
	r := newRig(t, bare(inst("i1", url)))
	for _, head := range []string{
		"Idempotency-Key: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
		"Idempotency-Key: a\r\nContent-Length: 200000\r\n\r\na", "Content-Length: 200000\r\n\r\na", "Idempotency-Key: a\r\nContent-Length: 2000000\r\n\r\na",
	} {
		for round := 1; ; round++ {
			begun := time.Now()
			err := earlyAnswer(t, r, head)
			if err == nil {
				break
			}
			if took := time.Since(begun); took < 500*time.Millisecond || round == 20 { // else this test may be later than anybody waits for a client
				t.Errorf("%q: %v, after %v", head, err, took)
				break
			}
		}
	}
}

// earlyAnswer begins a request, goes on sending when it has been answered, and tells what is wrong with the answer.
func earlyAnswer(t *testing.T, r *rig, head string) error {
	t.Helper()
	answered := func() int { return strings.Count(r.access.String(), `"status":401`) }
	before := answered()
	c := dialRaw(t, r)
	defer c.Close()
	c.write("POST / HTTP/1.1\r\nHost: h\r\n" + head)
	r.wait("it has been answered", func() bool { return answered() > before })
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 5 {
		<-tick.C
		c.Conn.Write([]byte("1\r\nb\r\n"))
	}
	got, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return fmt.Errorf("the answer was lost: %w", err)
	}
	if body, err := io.ReadAll(got.Body); got.StatusCode != 401 || !got.Close || err != nil || string(body) != "login" {
		return fmt.Errorf("%d, last %v, %q %v", got.StatusCode, got.Close, body, err)
	}
	if rest, err := io.ReadAll(c.in); len(rest) > 0 || err != nil {
		return fmt.Errorf("behind the answer: %q %v", rest, err)
	}
	return nil
}

// endings counts the ends of a client's connection.
type endings struct{ atomic.Int64 }

func (e *endings) end() { e.Add(1) }

// TestLastBodyIsReadOn: what comes at once of a body is read although the connection ends behind the answer, and it ends.
func TestLastBodyIsReadOn(t *testing.T) {
	from := strings.NewReader(strings.Repeat("x", 5<<20))
	c := newClientBody(io.NopCloser(from), 1<<20, &headWait{})
	c.kept.of = newKeeping()
	var conn endings
	c.finish(&conn, true)
	if from.Len() > 0 || conn.Load() == 0 || c.kept.of.held.Load() != 0 {
		t.Errorf("%d bytes have not been read, the connection has been ended %d times, %d bytes are held", from.Len(), conn.Load(), c.kept.of.held.Load())
	}
	c = newClientBody(io.NopCloser(from), 0, &headWait{})
	c.invite = func() bool { return false }
	var uninvited endings
	c.finish(&uninvited, true) // nobody is waited for who was not invited to send
	if uninvited.Load() == 0 {
		t.Error("the connection has not been ended")
	}
}
