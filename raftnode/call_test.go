package raftnode

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// callPair connects a client to a server with the given handlers.
func callPair(t *testing.T, handlers map[callKind]handler) (*callConn, *callServer) {
	t.Helper()
	s := newCallServer(handlers, func(bool) {})
	client, server := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.serve(context.Background(), server, caller{name: "peer", id: "peer/1"})
	}()
	c := newCallConn(client)
	t.Cleanup(func() {
		c.close(ErrClosed)
		s.close()
		<-done
	})
	return c, s
}

func TestCallsAreMultiplexed(t *testing.T) {
	release := make(chan struct{})
	c, _ := callPair(t, map[callKind]handler{
		callInfo: func(_ context.Context, from caller, p []byte) ([]byte, error) {
			return append([]byte(from.name+" "), p...), nil
		},
		callWait: func(ctx context.Context, _ caller, p []byte) ([]byte, error) {
			select {
			case <-release:
				return p, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
		callTerm: func(context.Context, caller, []byte) ([]byte, error) { return nil, refused("never") },
	})
	slow := make(chan error, 1)
	go func() {
		b, err := c.call(context.Background(), callWait, []byte("slow"))
		if string(b) != "slow" {
			err = fmt.Errorf("got %q, %w", b, err)
		}
		slow <- err
	}()
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			want := fmt.Sprint(i)
			if b, err := c.call(ctxFor(t, 10*time.Second), callInfo, []byte(want)); err != nil || string(b) != "peer "+want {
				t.Errorf("call %d: %q, %v", i, b, err)
			}
		}()
	}
	wg.Wait()
	if _, err := c.call(ctxFor(t, 10*time.Second), callTerm, nil); !errors.Is(err, ErrRefused) {
		t.Errorf("refusal: %v", err)
	}
	var f *failure
	if _, err := c.call(ctxFor(t, 10*time.Second), 99, nil); !errors.As(err, &f) || f.code != failUnsupported {
		t.Errorf("unknown kind: %v", err)
	}
	deadline := errNotSent
	for range 20 { // this process may stand still before it sends
		if _, deadline = c.call(ctxFor(t, 20*time.Millisecond), callWait, nil); !errors.Is(deadline, errNotSent) {
			break
		}
	}
	if deadline == nil || notDone(deadline) { // the server may be the first to say so
		t.Errorf("deadline: %v", deadline)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for range 100 { // the answer and the end must not be a matter of luck
		if _, err := c.call(gone, callInfo, nil); !errors.Is(err, errNotSent) || !errors.Is(err, ErrTimeout) {
			t.Fatalf("of a caller that is gone: %v", err)
		}
	}
	if _, err := c.call(ctxFor(t, 10*time.Second), callInfo, make([]byte, maxPayload+1)); !errors.Is(err, errNotSent) {
		t.Errorf("too large: %v", err)
	}
	close(release)
	if err := <-slow; err != nil {
		t.Error(err)
	}
	c.close(errors.New("cut"))
	if _, err := c.call(ctxFor(t, 10*time.Second), callInfo, nil); !errors.Is(err, errNotSent) {
		t.Errorf("after the end: %v", err)
	}
}

// TestServerBoundsCalls: a peer that sends without reading the answers is slowed down, not served without end.
func TestServerBoundsCalls(t *testing.T) {
	var now, most atomic.Int32
	release := make(chan struct{})
	c, _ := callPair(t, map[callKind]handler{
		callInfo: func(context.Context, caller, []byte) ([]byte, error) {
			n := now.Add(1)
			defer now.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			<-release
			return nil, nil
		},
	})
	var wg sync.WaitGroup
	for range 3 * maxCalls {
		wg.Add(1)
		go func() {
			defer wg.Done()
			_, _ = c.call(ctxFor(t, 20*time.Second), callInfo, nil)
		}()
	}
	within(t, 10*time.Second, "calls are not served at once", func() bool { return most.Load() == maxCalls })
	close(release)
	wg.Wait()
	if most.Load() > maxCalls {
		t.Errorf("%d calls at once", most.Load())
	}
}

// TestSlowCallsLeaveRoom: requests that wait for something do not hold up session operations.
func TestSlowCallsLeaveRoom(t *testing.T) {
	release := make(chan struct{})
	c, _ := callPair(t, map[callKind]handler{
		callWait:   func(context.Context, caller, []byte) ([]byte, error) { <-release; return nil, nil },
		callRecord: func(context.Context, caller, []byte) ([]byte, error) { return nil, nil },
	})
	results := make(chan error, 3*maxCalls)
	for range cap(results) {
		go func() {
			_, err := c.call(ctxFor(t, 20*time.Second), callWait, nil)
			results <- err
		}()
	}
	for range cap(results) - maxSlowCalls {
		var f *failure
		if err := <-results; !errors.As(err, &f) || f.code != failRetry {
			t.Errorf("got %v", err)
		}
	}
	if _, err := c.call(ctxFor(t, 20*time.Second), callRecord, nil); err != nil {
		t.Error(err)
	}
	close(release)
	for range maxSlowCalls {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestClientRefusesBadReplies(t *testing.T) {
	for name, reply := range map[string][]byte{
		"request as reply": appendFrame(nil, frame{id: 1, kind: callInfo}),
		"bad failure":      appendFrame(nil, frame{id: 1, kind: replyFailed, payload: []byte{1}}),
		"garbage":          []byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
		"cut":              {1, 2},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := net.Pipe()
			c := newCallConn(client)
			go func() {
				_, _ = readFrame(bufio.NewReader(server), maxPayload)
				_, _ = server.Write(reply)
				_ = server.Close()
			}()
			if _, err := c.call(ctxFor(t, 10*time.Second), callInfo, nil); err == nil || notDone(err) {
				t.Errorf("got %v: must be an error that leaves the outcome open", err)
			}
			within(t, 10*time.Second, "the connection lives on", func() bool { return c.reason() != nil })
		})
	}
	// A late or foreign reply is dropped.
	client, server := net.Pipe()
	c := newCallConn(client)
	defer c.close(ErrClosed)
	go func() {
		f, _ := readFrame(bufio.NewReader(server), maxPayload)
		_, _ = server.Write(appendFrame(appendFrame(nil, frame{id: 77, kind: replyOK}), frame{id: f.id, kind: replyOK, payload: []byte("mine")}))
	}()
	if b, err := c.call(ctxFor(t, 10*time.Second), callInfo, nil); err != nil || string(b) != "mine" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestPoolDialsOnceAndBacksOff(t *testing.T) {
	var dials atomic.Int32
	ok := make(chan net.Conn, 1)
	p := newCallPool(func(context.Context, string, string) (net.Conn, error) {
		dials.Add(1)
		select {
		case c := <-ok:
			return c, nil
		default:
			return nil, errors.New("refused by the test")
		}
	})
	var wg sync.WaitGroup
	for range 50 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if _, err := p.call(ctxFor(t, 10*time.Second), "x:1", "", callInfo, nil); !errors.Is(err, errNotSent) || !notDone(err) {
				t.Errorf("got %v", err)
			}
		}()
	}
	wg.Wait()
	if n := dials.Load(); n > 10 {
		t.Errorf("%d dials for one failure", n)
	}
	client, server := net.Pipe()
	ok <- client
	s := newCallServer(map[callKind]handler{callInfo: func(context.Context, caller, []byte) ([]byte, error) { return []byte("yes"), nil }}, func(bool) {})
	go s.serve(context.Background(), server, caller{})
	within(t, 10*time.Second, "the pool does not dial again", func() bool {
		b, err := p.call(ctxFor(t, 10*time.Second), "x:1", "", callInfo, nil)
		return err == nil && string(b) == "yes"
	})
	before := dials.Load()
	p.drop("x:1", "", errors.New("dropped"))
	p.drop("y:1", "", errors.New("nobody"))
	_, _ = p.call(ctxFor(t, 10*time.Second), "x:1", "", callInfo, nil)
	if dials.Load() == before {
		t.Error("no dial after drop")
	}
	p.close()
	if _, err := p.call(ctxFor(t, 10*time.Second), "x:1", "", callInfo, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("after close: %v", err)
	}
	s.close()
}
