//go:build linux

package h1_test

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/lb/h1"
)

// When descriptors run out clients wait to be accepted, none is turned away, those that are there are served, and it goes on when others have ended.
func TestClientsWaitWhileDescriptorsAreFew(t *testing.T) {
	var files, short atomic.Int64
	files.Store(1 << 30)
	r := newRig(t, answers("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), func(o *h1.Options) {
		o.Files = func() int { return int(files.Load()) }
		o.Short = func(err error) {
			if !errors.Is(err, syscall.EMFILE) {
				t.Errorf("told of %v", err)
			}
			short.Add(1)
		}
	})
	ok := func(c *client) {
		t.Helper()
		if resp, body := c.answer("GET"); resp.StatusCode != 200 || body != "ok" {
			t.Fatalf("%d %q", resp.StatusCode, body)
		}
	}
	first := r.dial()
	first.say("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	ok(first)
	files.Store(1)
	var late []*client
	for range 12 { // each loop notices with the one that it takes in
		c := r.dial()
		c.say("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		late = append(late, c)
	}
	for deadline := time.Now().Add(patience); short.Load() < 6; {
		if time.Now().After(deadline) {
			t.Fatal("nobody is told of it")
		}
		first.say("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		ok(first)
	}
	served := 0
	for _, c := range late {
		c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if _, err := c.r.Peek(1); err == nil {
			served++
		} else if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a client that waits: %v", err)
		}
		c.SetReadDeadline(time.Now().Add(patience))
	}
	if served > 2 {
		t.Errorf("%d of %d were accepted, by two loops", served, len(late))
	}
	files.Store(1 << 30)
	for _, c := range late {
		ok(c)
	}
}
