package lb

import (
	"errors"
	"net"
	"testing"
)

func TestDetourGrowsWhileItIsInVain(t *testing.T) {
	var d detour
	for _, want := range []int{1, 2, 4, 8, 16, 32, 64, 64} {
		d.begin()
		n := 1
		for !d.over() {
			n++
		}
		if n != want {
			t.Fatalf("back after %d requests, want %d", n, want)
		}
	}
	d.paid()
	if d.begin(); !d.over() {
		t.Error("a connection that the loop had use for stays away for long")
	}
}

// What is on the way when the listener stops is closed, not forgotten.
func TestRelayClosesWhatNobodyTakes(t *testing.T) {
	l := newRelay("127.0.0.1:0")
	near, far := net.Pipe()
	l.Close()
	l.Close()
	l.give(far)
	if _, err := near.Write([]byte{1}); err == nil {
		t.Error("the connection is open")
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
