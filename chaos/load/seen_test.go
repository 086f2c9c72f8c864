package load

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestEachRequestIsTold: with when it was due, who was asked in vain and how, and who answered.
func TestEachRequestIsTold(t *testing.T) {
	f := newFake(t)
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	t.Cleanup(busy.Close)
	gone := httptest.NewServer(f)
	gone.Close()
	o := f.options(1)
	bad := []Target{{Node: "busy", Addr: strings.TrimPrefix(busy.URL, "http://")}, {Node: "gone", Addr: strings.TrimPrefix(gone.URL, "http://")}}
	var seen []Request
	o.Seen = func(r Request) { seen = append(seen, r) }
	o.Targets = append(bad, o.Targets[0])
	l := New(o)
	w := l.Worker()
	defer w.Close()
	due := time.Now().Add(-time.Second)
	w.Due(due)
	s, err := w.Start(t.Context(), Kind{Name: "k", Path: "/page", Cookie: "STICKY"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Visit(t.Context(), s, 2); err != nil {
		t.Fatal(err)
	}
	if err := w.Forge(t.Context(), s); err != nil { // a request of the attacker's, and one of what he got
		t.Fatal(err)
	}
	l.options.Targets, l.options.Patience = bad, 50*time.Millisecond
	if _, err := w.Start(t.Context(), s.Kind, 0); err == nil {
		t.Fatal("an answer from nobody")
	}
	if len(seen) != 5 {
		t.Fatalf("told of %d requests", len(seen))
	}
	first, second, last := seen[0], seen[1], seen[4]
	if !first.New || !first.Due.Equal(due) || first.Sent.Before(due.Add(time.Second)) || first.Attempts != 2 || first.Refused != 1 || !strings.Contains(fmt.Sprint(first.Refusal), "status 503") || first.Node != "a" || first.Err != nil {
		t.Errorf("the first is %+v", first)
	}
	if e := first.Session.Entry; e == nil || e.Instance != first.Instance || !e.Sent.Equal(first.Sent) || first.Ended.Before(first.Sent) {
		t.Errorf("the first has the entry %+v", e)
	}
	if second.New || !second.Due.Equal(second.Sent) || second.Attempts != 0 || second.Session != s || second.Worker != first.Worker {
		t.Errorf("the second is %+v", second)
	}
	if last.Err == nil || last.Session.Entry != nil || last.Refused < 1 || last.Attempts < last.Refused || last.Node != "" {
		t.Errorf("the last is %+v", last)
	}
}
