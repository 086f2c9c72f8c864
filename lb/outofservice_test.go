package lb

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// TestOutOfServiceAnswersNobody: a node that doubts what it knows decides about nobody, known or new, on connections that are open or come, on either engine; each request is answered, as the last one of its connection.
// When it is back it serves as before.
func TestOutOfServiceAnswersNobody(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	var doubt atomic.Pointer[error]
	r := newRigOn(t, newFakeGroup(conf(of(a, b)...)), Options{OutOfService: func() error {
		if err := doubt.Load(); err != nil {
			return *err
		}
		return nil
	}})
	hits := func() int {
		a.mu.Lock()
		b.mu.Lock()
		defer a.mu.Unlock()
		defer b.mu.Unlock()
		return a.hits + b.hits
	}
	known := newClient(t)
	home := known.get(r.url("/"))
	served, sessions := hits(), len(r.g.sessions())

	why := errors.New("diverged")
	doubt.Store(&why)
	for name, request := range map[string]func() reply{
		"a known session":                func() reply { return known.get(r.url("/")) },
		"a known session, to net/http":   func() reply { return known.get(r.url("/%61")) },
		"a new session":                  func() reply { return newClient(t).get(r.url("/")) },
		"a new session, to net/http":     func() reply { return newClient(t).get(r.url("/%61")) },
		"a path that no module serves":   func() reply { return newClient(t).get(r.url("/..")) },
		"a new session, again and again": func() reply { c := newClient(t); c.get(r.url("/")); return c.get(r.url("/")) },
	} {
		got := request()
		if got.StatusCode != http.StatusServiceUnavailable || !got.Close || got.Header.Get("Retry-After") != "1" || len(got.Cookies()) != 0 || !strings.Contains(got.body, "out of service") {
			t.Errorf("%s: %s, close %v, %v %q", name, got.Status, got.Close, got.Header, got.body)
		}
	}
	if n := hits(); n != served || len(r.g.sessions()) != sessions {
		t.Errorf("%d requests reached an instance, %d sessions were recorded", n-served, len(r.g.sessions())-sessions)
	}
	eventually(t, "its connections end", func() bool { return r.b.countOpen() == 0 })

	doubt.Store(nil)
	if got := known.get(r.url("/")); got.StatusCode != http.StatusOK || got.body != home.body {
		t.Errorf("afterwards: %s %q, was %q", got.Status, got.body, home.body)
	}
}

// TestOutOfServiceTakesNoStream: a node whose state is in doubt leads no client of a tcp listener anywhere.
func TestOutOfServiceTakesNoStream(t *testing.T) {
	a := newStreamApp(t, "i1", nil)
	var doubt atomic.Bool
	r := newRigOn(t, newFakeGroup(streamConf(a)), Options{OutOfService: func() error {
		if doubt.Load() {
			return errors.New("diverged")
		}
		return nil
	}})
	if got := r.instanceOf("127.0.0.10"); got != "i1" {
		t.Fatal(got)
	}
	doubt.Store(true)
	for _, from := range []string{"127.0.0.10", "127.0.0.11"} {
		c := r.connect(from)
		if b, err := io.ReadAll(c); len(b) > 0 || err != nil && !isReset(err) {
			t.Errorf("from %s: %q, %v", from, b, err)
		}
		c.Close()
	}
	if n := len(r.g.sessions()); n != 1 {
		t.Errorf("%d sessions are on record", n)
	}
	doubt.Store(false)
	if got := r.instanceOf("127.0.0.11"); got != "i1" {
		t.Error(got)
	}
}
