package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
)

// streamOf sends events of these numbers, then ends.
func streamOf(t *testing.T, asked *[]string, seqs ...int) *httptest.Server {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.URL.RawQuery)
		if r.Header.Get("Accept") != "text/event-stream" || r.Header.Get("Authorization") != "Bearer hft1.x" {
			t.Errorf("%v", r.Header)
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "retry: 1000\n\n: heartbeat\n\n")
		for _, n := range seqs {
			fmt.Fprintf(w, "id: %d\nevent: config\ndata: {\"seq\":%d,\"text\":\"event %d\"}\n\n", n, n, n)
		}
	}))
	t.Cleanup(srv.Close)
	return srv
}

// TestFollowEventsThroughNodesThatGo: each event once and in order, although the streams overlap and end.
func TestFollowEventsThroughNodesThatGo(t *testing.T) {
	var asked []string
	one := streamOf(t, &asked, 3, 4)
	two := streamOf(t, &asked, 4, 5, 6)
	c, err := client.New(client.Options{URLs: []string{one.URL, "http://127.0.0.1:1", two.URL}, Token: "hft1.x", Pause: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var got []string
	for e, err := range c.FollowEvents(t.Context(), 2) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, e.Text); len(got) == 4 {
			break
		}
	}
	if s := strings.Join(got, ","); s != "event 3,event 4,event 5,event 6" {
		t.Error(s)
	}
	if s := strings.Join(asked, " "); s != "after=2 after=4" {
		t.Errorf("asked %s", s)
	}
}

// TestFollowEventsEnds: with the context, with a refusal, and when nobody is there.
func TestFollowEventsEnds(t *testing.T) {
	var calls atomic.Int32
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"status":403,"code":"forbidden","detail":"no"}`)
	}))
	defer refuses.Close()
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }))
	defer stranger.Close()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: {\n\n")
	}))
	defer broken.Close()
	for url, want := range map[string]string{refuses.URL: "no", "http://127.0.0.1:1": "refused", stranger.URL: "is it a Holdfast node", broken.URL: "cannot be read"} {
		c, err := client.New(client.Options{URLs: []string{url}, Pause: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		var last error
		for _, err := range c.FollowEvents(t.Context(), 0) {
			last = err
		}
		if last == nil || !strings.Contains(last.Error(), want) {
			t.Errorf("%s: %v, want %q", url, last, want)
		}
		c.Close()
	}
	if calls.Load() != 1 {
		t.Errorf("a refusal was asked %d times", calls.Load())
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	hangs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: {\"seq\":1}\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer hangs.Close()
	c, err := client.New(client.Options{URLs: []string{hangs.URL}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	n := 0
	for _, err := range c.FollowEvents(ctx, 0) {
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		n++
		cancel()
	}
	if n != 1 {
		t.Errorf("%d events", n)
	}
}
