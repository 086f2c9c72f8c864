package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// visitors are clients that begin sessions and come back to them through all the nodes that are given, until they are stopped.
type visitors struct {
	client *http.Client
	stop   context.CancelFunc
	done   sync.WaitGroup
	// gone names an instance that sessions may leave, "" for none.
	gone            atomic.Pointer[string]
	begun, returned atomic.Int64

	mu     sync.Mutex
	urls   []string
	broken []string
	// last is where each visitor's latest session was when it was stopped.
	last map[*http.Cookie]string
}

func visit(tb testing.TB, servers ...*Server) *visitors {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	v := &visitors{client: &http.Client{Timeout: 20 * time.Second}, stop: cancel, last: map[*http.Cookie]string{}}
	v.gone.Store(new(string))
	for _, s := range servers {
		v.through(s)
	}
	for i := range 6 {
		v.done.Go(func() { v.come(ctx, i) })
	}
	tb.Cleanup(v.end)
	return v
}

// through lets them come through one more node.
func (v *visitors) through(s *Server) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.urls = append(v.urls, "http://"+s.balancer.Addr("web").String()+"/")
}

func (v *visitors) end() {
	v.stop()
	v.done.Wait()
	v.client.CloseIdleConnections()
}

func (v *visitors) come(ctx context.Context, n int) {
	var cookie *http.Cookie
	where := ""
	for ; ctx.Err() == nil; n++ {
		if cookie != nil && n%8 == 0 {
			v.keep(cookie, where)
			cookie, where = nil, ""
		}
		v.mu.Lock()
		url := v.urls[n%len(v.urls)]
		v.mu.Unlock()
		body, set, err := v.ask(context.WithoutCancel(ctx), url, cookie) // to its end: what is on record is what was counted
		switch {
		case err != nil:
			v.breaks("%s: %v", url, err)
		case cookie == nil && set == nil:
			v.breaks("%s: a new session without a cookie", url)
		case cookie == nil:
			cookie, where = set, body
			v.begun.Add(1)
		case body != where && where != *v.gone.Load():
			v.breaks("%s: a session went from %s to %s", url, where, body)
		default:
			if where = body; set != nil {
				cookie = set
			}
			v.returned.Add(1)
		}
	}
	v.keep(cookie, where)
}

func (v *visitors) keep(cookie *http.Cookie, where string) {
	if cookie == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last[cookie] = where
}

func (v *visitors) ask(ctx context.Context, url string, cookie *http.Cookie) (body string, set *http.Cookie, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", nil, err
	}
	if cookie != nil {
		req.AddCookie(cookie)
	}
	resp, err := v.client.Do(req)
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return "", nil, fmt.Errorf("%s: %s", resp.Status, data)
	}
	if c := resp.Cookies(); len(c) > 0 {
		set = c[0]
	}
	return string(data), set, nil
}

func (v *visitors) breaks(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.broken = append(v.broken, fmt.Sprintf(format, args...))
}

// more waits until so many sessions more have begun and so many requests more came back to theirs.
func (v *visitors) more(tb testing.TB, begun, returned int64) {
	tb.Helper()
	begun, returned = begun+v.begun.Load(), returned+v.returned.Load()
	eventually(tb, "visitors go on", func() error {
		if b, r := v.begun.Load(), v.returned.Load(); b < begun || r < returned {
			return fmt.Errorf("%d of %d sessions, %d of %d returns", b, begun, r, returned)
		}
		return nil
	})
}

// verdict fails the test for what was broken.
func (v *visitors) verdict(tb testing.TB) {
	tb.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, b := range v.broken[:min(len(v.broken), 10)] {
		tb.Error(b)
	}
	tb.Logf("%d sessions, %d requests of known ones, %d broken", v.begun.Load(), v.returned.Load(), len(v.broken))
}
