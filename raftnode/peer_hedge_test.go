package raftnode

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestHedge: what raft's pool hands out may be dead in any order and in any way; a node that can answer is heard in time.
func TestHedge(t *testing.T) {
	const heartbeat = 400 * time.Millisecond
	silent := func(int) (int, error) { time.Sleep(10 * time.Second); return 0, errors.New("time-out") }
	broken := func(n int) (int, error) { return 0, fmt.Errorf("read: %w", syscall.ECONNRESET) }
	eof := func(int) (int, error) { return 0, io.EOF }
	yes := func(n int) (int, error) { time.Sleep(time.Millisecond); return n, nil }
	refused := errors.New("this node is bound by a lease for a moment more")
	no := func(int) (int, error) { return 0, refused }
	noDial := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	dead := func(int) (int, error) { return 0, noDial }
	for name, c := range map[string]struct {
		by    []func(int) (int, error)
		want  int
		err   error
		asked int32
		took  time.Duration
	}{
		"at once":                     {by: []func(int) (int, error){yes}, want: 1, asked: 1, took: time.Millisecond},
		"three that broke":            {by: []func(int) (int, error){broken, eof, broken, yes}, want: 4, asked: 4, took: time.Millisecond},
		"three that say nothing":      {by: []func(int) (int, error){silent, silent, silent, yes}, want: 4, asked: 4, took: 151 * time.Millisecond},
		"one that says nothing":       {by: []func(int) (int, error){silent, yes}, want: 2, asked: 2, took: 51 * time.Millisecond},
		"one of each":                 {by: []func(int) (int, error){silent, broken, yes}, want: 3, asked: 3, took: 51 * time.Millisecond},
		"a no is an answer":           {by: []func(int) (int, error){no}, err: refused, asked: 1},
		"nobody listens":              {by: []func(int) (int, error){dead}, err: noDial, asked: 1},
		"all broke":                   {by: []func(int) (int, error){broken, broken, broken, eof}, err: io.EOF, asked: 4},
		"all broke and one is silent": {by: []func(int) (int, error){silent, broken, broken, eof}, asked: 4, err: errors.New("time-out"), took: 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked atomic.Int32
				var got int
				began := time.Now()
				err := hedge(heartbeat, &got, func(resp *int) (err error) {
					n := int(asked.Add(1))
					*resp, err = c.by[n-1](n)
					return err
				})
				if got != c.want || (err == nil) != (c.err == nil) || err != nil && err.Error() != c.err.Error() || asked.Load() != c.asked || time.Since(began) != c.took {
					t.Errorf("%d, %v after %d questions and %v; want %d, %v, %d, %v", got, err, asked.Load(), time.Since(began), c.want, c.err, c.asked, c.took)
				}
				time.Sleep(time.Minute) // for those that are still out
			})
		})
	}
}
