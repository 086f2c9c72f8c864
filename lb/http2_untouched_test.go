package lb

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// soonEnough is how long an answer may take that waits for nothing but a second chance.
const soonEnough = 10 * time.Second

// untouching are the ways in which an instance says that it has not touched a request.
var untouching = map[string]struct {
	answer   func(f *http2.Framer, stream uint32)
	settings []http2.Setting
}{
	"REFUSED_STREAM":     {answer: refuseStream},
	"GOAWAY":             {answer: func(f *http2.Framer, stream uint32) { f.WriteGoAway(stream-1, http2.ErrCodeNo, nil) }},
	"GOAWAY for a fault": {answer: func(f *http2.Framer, stream uint32) { f.WriteGoAway(stream-1, http2.ErrCodeEnhanceYourCalm, nil) }},
	"no streams":         {answer: refuseStream, settings: []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 0}}},
}

func refuseStream(f *http2.Framer, stream uint32) {
	f.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
}

// answerAs answers each request with the name of the instance.
func answerAs(name string) func(f *http2.Framer, stream uint32) {
	return func(f *http2.Framer, stream uint32) {
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: plainBlock(":status", "204", "instance", name), EndHeaders: true, EndStream: true})
	}
}

// untouchedRequests are requests with a body and without one, safe and not.
func untouchedRequests(t *testing.T, url string) []*http.Request {
	var list []*http.Request
	for _, method := range []string{http.MethodGet, http.MethodDelete, http.MethodPost} {
		var body io.Reader
		if method == http.MethodPost {
			body = strings.NewReader("once")
		}
		req, err := http.NewRequest(method, url, body)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, req)
	}
	return list
}

// untouchedConf has instances of HTTP/2 that nobody checks.
func untouchedConf(instances ...config.Instance) *config.Config {
	c := http2Conf(instances...)
	c.Clusters[0].Protocol, c.Clusters[0].Health.Type, c.Clusters[0].BodyBuffer = "h2", "none", 64<<10
	return c
}

// TestHTTP2UntouchedRequestsGoElsewhere at once, with a body or without one, whatever the method: nothing has been done about them. x/net by itself would stay
// with the instance for a minute.
func TestHTTP2UntouchedRequestsGoElsewhere(t *testing.T) {
	for name, how := range untouching {
		t.Run(name, func(t *testing.T) {
			a, b := newRefuser(t, how.answer, how.settings...), newRefuser(t, answerAs("i2"))
			cfg := untouchedConf(inst("i1", a.url), inst("i2", b.url))
			cfg.Clusters[0].Affinity = config.Affinity{Type: "none"}
			r := newRig(t, cfg)
			for range 2 { // so that one comes to the refuser first
				for _, req := range untouchedRequests(t, r.url("/")) {
					began := time.Now()
					got := newClient(t).do(req)
					if got.Header.Get("Instance") != "i2" || time.Since(began) > soonEnough {
						t.Errorf("%s: %d from %q after %v", req.Method, got.StatusCode, got.Header.Get("Instance"), time.Since(began))
					}
				}
			}
			if s := r.status("c1", "i1"); s.Health != "up" || a.asked.Load() == 0 {
				t.Errorf("%s; it was asked %d times", s.Reason, a.asked.Load())
			}
		})
	}
}

// TestHTTP2UntouchedRequestsOfTheLastInstance are answered soon, too.
func TestHTTP2UntouchedRequestsOfTheLastInstance(t *testing.T) {
	for name, how := range untouching {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, untouchedConf(inst("i1", newRefuser(t, how.answer, how.settings...).url)))
			for _, req := range untouchedRequests(t, r.url("/")) {
				began := time.Now()
				if got := newClient(t).do(req); got.StatusCode != 503 || time.Since(began) > soonEnough {
					t.Errorf("%s: %d after %v", req.Method, got.StatusCode, time.Since(began))
				}
			}
		})
	}
}

// TestHTTP2UntouchedRequestsOfASession: the instance lives, so that the session stays with it. Its requests are answered 503 for as long as it refuses them, and by the
// instance when it takes them again.
func TestHTTP2UntouchedRequestsOfASession(t *testing.T) {
	var refuses atomic.Bool
	a := newRefuser(t, func(f *http2.Framer, stream uint32) {
		if refuses.Load() {
			refuseStream(f, stream)
			return
		}
		answerAs("i1")(f, stream)
	})
	cfg := untouchedConf(inst("i1", a.url))
	r := newRig(t, cfg)
	c := newClient(t)
	if got := c.get(r.url("/")); got.StatusCode != 204 {
		t.Fatal(got.StatusCode)
	}
	cfg = clone(cfg)
	cfg.Clusters[0].Instances = append(cfg.Clusters[0].Instances, inst("i2", newRefuser(t, answerAs("i2")).url))
	r.apply(cfg)
	refuses.Store(true)
	for _, req := range untouchedRequests(t, r.url("/")) {
		began, asked := time.Now(), a.asked.Load()
		got := c.do(req)
		if got.StatusCode != 503 || got.Header.Get("Retry-After") == "" || time.Since(began) > soonEnough {
			t.Errorf("%s: %d from %q after %v", req.Method, got.StatusCode, got.Header.Get("Instance"), time.Since(began))
		}
		if n := a.asked.Load() - asked; n != int64(len(untouchedPauses))+1 {
			t.Errorf("%s: it was asked %d times", req.Method, n)
		}
	}
	refuses.Store(false)
	if got := c.get(r.url("/")); got.StatusCode != 204 {
		t.Errorf("%d from %q", got.StatusCode, got.Header.Get("Instance"))
	}
}

// TestHTTP2ConnectionsThatEndAtOnce: an instance that takes connections and hangs up holds no request up.
func TestHTTP2ConnectionsThatEndAtOnce(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	cfg := untouchedConf(inst("i1", "http://"+ln.Addr().String()), inst("i2", newRefuser(t, answerAs("i2")).url))
	cfg.Clusters[0].Affinity = config.Affinity{Type: "none"}
	r := newRig(t, cfg)
	for range 10 {
		began := time.Now()
		if got := newClient(t).get(r.url("/")); got.Header.Get("Instance") != "i2" || time.Since(began) > soonEnough {
			t.Errorf("%d after %v", got.StatusCode, time.Since(began))
		}
	}
}

// TestHTTP2RefusalsAreOfOneInstance: an instance that has taken the place of another one while that was asked is asked as often itself.
func TestHTTP2RefusalsAreOfOneInstance(t *testing.T) {
	var r *rig
	var next *config.Config
	old := newRefuser(t, func(f *http2.Framer, stream uint32) {
		r.g.apply(next)
		eventually(t, "the other instance is in force", func() bool { return r.b.routing.Load().revision == r.node.Revision().Number })
		refuseStream(f, stream)
	})
	var asked atomic.Int64
	fresh := newRefuser(t, func(f *http2.Framer, stream uint32) {
		if asked.Add(1) <= int64(len(untouchedPauses)) {
			refuseStream(f, stream)
			return
		}
		answerAs("i2")(f, stream)
	})
	cfg := untouchedConf(inst("i1", old.url))
	cfg.Clusters[0].Affinity = config.Affinity{Type: "none"}
	next = clone(cfg)
	next.Clusters[0].Instances = []config.Instance{inst("i2", fresh.url)}
	r = newRig(t, cfg)
	if got := newClient(t).do(post(t, r.url("/"), "once")); got.Header.Get("Instance") != "i2" {
		t.Errorf("%d from %q; the other one was asked %d times", got.StatusCode, got.Header.Get("Instance"), asked.Load())
	}
}
