package lb

import (
	"strings"
	"testing"
)

// TestOddInstancesAreServedByNetHTTP: an instance whose heads the loops' strict parser refuses, and net/http's takes, is served; nothing that must not be is sent twice.
func TestOddInstancesAreServedByNetHTTP(t *testing.T) {
	odd := newOrigin(t, answer("HTTP/1.1 200 OK\nContent-Length: 2\nX-Odd: yes\n\nok"))
	r := newRig(t, bare(inst("i1", odd.url)))
	c := newClient(t)
	for i := range 5 {
		if got := c.get(r.url("/")); got.StatusCode != 200 || got.body != "ok" {
			t.Fatalf("request %d: %d %q", i, got.StatusCode, got.body)
		}
	}
	if !netOnly {
		if n := odd.hits.Load(); n != 6 {
			t.Errorf("5 requests were sent %d times, want one of them twice", n)
		}
		if n := strings.Count(r.logs.String(), "not strictly HTTP/1.1"); n != 1 {
			t.Errorf("said %d times", n)
		}
	}

	odd = newOrigin(t, answer("HTTP/1.1 200 OK\nContent-Length: 2\n\nok"))
	r = newRig(t, bare(inst("i1", odd.url)))
	want := 502 // of the first one, the outcome of which cannot be read
	if netOnly {
		want = 200
	}
	for i, want := range []int{want, 200, 200} {
		if got := c.do(request(t, "POST", r.url("/"), "b")); got.StatusCode != want {
			t.Errorf("POST %d: %d, want %d", i, got.StatusCode, want)
		}
	}
	if n := odd.hits.Load(); n != 3 {
		t.Errorf("3 requests that must not be repeated were sent %d times", n)
	}
}
