package client

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/sampleapp"
)

// here dials from the namespace that the test is in.
var here = DialFrom(func(f func()) { f() })

// app is an instance behind a node of the same name; fail, when it says so, takes over a request.
func app(t *testing.T, name string, fail func(http.ResponseWriter, *http.Request) bool) *httptest.Server {
	t.Helper()
	handler := sampleapp.Handler(name)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(NodeHeader, "node-of-"+name)
		if fail == nil || !fail(w, r) {
			handler.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

func address(s *httptest.Server) string { return s.Listener.Addr().String() }

// cut ends a connection without an answer.
func cut(w http.ResponseWriter) {
	c, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
}

func TestProbeRecordsEveryRequest(t *testing.T) {
	var n atomic.Int64
	enough := make(chan struct{})
	server := app(t, "one", func(w http.ResponseWriter, r *http.Request) bool {
		i := n.Add(1)
		if i == 20 {
			close(enough)
		}
		switch {
		case i == 5:
			cut(w)
		case i == 6:
			http.Error(w, "no", http.StatusServiceUnavailable)
		case i == 7:
			<-r.Context().Done() // until the client has given up
		default:
			return false
		}
		return true
	})
	p := StartProbe(here, address(server), Pace{Every: 2 * time.Millisecond, Request: 100 * time.Millisecond}, func(i int) Ask {
		if i == 1 {
			return Ask{Path: "/insert", Instance: "two"}
		}
		return Ask{Path: "/insert"}
	})
	<-enough
	records := p.Stop()
	if len(records) < 20 || records[0].By != "node-of-one" || records[0].End.Before(records[0].Start) {
		t.Fatalf("%d records, the first %+v", len(records), records[0])
	}
	causes := records.Causes()
	for _, want := range []string{"answer: reset", "status 503", "answer: timed out", "wrong instance: wrong instance"} {
		if causes[want] != 1 {
			t.Errorf("%q: %d times in %v", want, causes[want], causes)
		}
	}
	if failed := len(records.Failed()); failed != 4 {
		t.Errorf("%d failed: %v", failed, causes)
	}
}

func TestNobodyListens(t *testing.T) {
	server := app(t, "one", nil)
	gone := address(server)
	server.Close()
	_, err := once(t.Context(), here, gone, Ask{Path: "/"}, limits{time.Second, time.Second})
	if cause(err) != "connect: refused" {
		t.Errorf("%v", err)
	}
	if _, err := here(t.Context(), "localhost:80"); err == nil {
		t.Error("a name was taken for an address")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if c, err := here(ended, "192.0.2.1:80"); err == nil {
		_ = c.Close()
		t.Error("connected though it was called off")
	}
}

func TestLastingConnections(t *testing.T) {
	var n, posts atomic.Int64
	enough := make(chan struct{})
	server := app(t, "one", func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			posts.Add(1)
		}
		switch i := n.Add(1); {
		case i == 60:
			close(enough)
		case i%10 == 0: // the last answer of the connection: no request is lost
			w.Header().Set("Connection", "close")
		case i == 15:
			cut(w)
			return true
		}
		return false
	})
	l := StartLasting(here, address(server), 3, func(int) Ask { return Ask{Path: "/insert"} })
	<-enough
	records, opened := l.Stop()
	failed := records.Failed()
	if len(failed) != 1 || !strings.HasPrefix(failed[0].Err, "answer: ") {
		t.Errorf("failed: %v", failed)
	}
	if opened < 7 || opened > 12 || posts.Load() < 15 {
		t.Errorf("%d connections, %d POSTs for %d requests", opened, posts.Load(), len(records))
	}
}

func TestSessionsKnowTheirInstances(t *testing.T) {
	one, two := app(t, "one", nil), app(t, "two", nil)
	s, err := MakeSessions(t.Context(), here, address(one), "/plain/page", 200)
	if err != nil || s.Len() != 200 {
		t.Fatal(s.Len(), err)
	}
	if right, err := s.Check(t.Context(), here, address(one)); right != 200 || err != nil {
		t.Errorf("%d right: %v", right, err)
	}
	if right, err := s.Check(t.Context(), here, address(two)); right != 0 || err == nil {
		t.Errorf("the wrong instance: %d right: %v", right, err)
	}
	if err := s.Relearn(t.Context(), here, address(two)); err != nil {
		t.Error(err)
	}
	if right, err := s.Check(t.Context(), here, address(two)); right != 200 || err != nil {
		t.Errorf("where they are now: %d right: %v", right, err)
	}
	// The right name, but it knows nothing of the sessions any more.
	again := app(t, "two", nil)
	if right, err := s.Check(t.Context(), here, address(again)); right != 0 || err == nil {
		t.Errorf("an instance that has lost them: %d right: %v", right, err)
	}
	late, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	again.Close()
	if right, err := s.Check(late, here, address(again)); right != 0 || err == nil {
		t.Errorf("nobody there: %d right: %v", right, err)
	}
}
