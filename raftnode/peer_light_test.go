package raftnode

import (
	"io"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// wholePipeline takes every message.
type wholePipeline struct {
	raft.AppendPipeline
	took int
}

func (p *wholePipeline) AppendEntries(m *raft.AppendEntriesRequest, _ *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	p.took = len(m.Entries)
	return nil, nil
}

// TestMessagesAreLight: what a message has can be sent in its time, and what raft takes for sent is what was.
func TestMessagesAreLight(t *testing.T) {
	var to [2]*raft.NetworkTransport
	for i := range to {
		var err error
		if to[i], err = raft.NewTCPTransport("127.0.0.1:0", nil, 1, time.Minute, io.Discard); err != nil {
			t.Fatal(err)
		}
		defer to[i].Close() //nolint:errcheck // the end of the test
	}
	got := make(chan int, 1)
	go func() {
		rpc := <-to[1].Consumer()
		got <- len(rpc.Command.(*raft.AppendEntriesRequest).Entries)
		rpc.Respond(&raft.AppendEntriesResponse{Success: true}, nil)
	}()
	message := func(sizes ...int) *raft.AppendEntriesRequest {
		m := &raft.AppendEntriesRequest{Term: 1}
		for i, n := range sizes {
			m.Entries = append(m.Entries, &raft.Log{Index: uint64(i + 1), Term: 1, Data: make([]byte, n)})
		}
		return m
	}
	from := newPeerTransport(to[0], timings["lan"], timings["lan"].heartbeat, func() *raft.Raft { return nil }, nil)
	m := message(400<<10, 400<<10, 400<<10, 1)
	if err := from.AppendEntries("n2", to[1].LocalAddr(), m, new(raft.AppendEntriesResponse)); err != nil {
		t.Fatal(err)
	}
	if n := <-got; n != 2 || len(m.Entries) != 2 {
		t.Errorf("%d entries were sent, raft believes %d", n, len(m.Entries))
	}
	p := &wholePipeline{}
	for _, tc := range []struct {
		sizes []int
		want  int
	}{{nil, 0}, {[]int{0, 0, 0}, 3}, {[]int{maxMessage / 2, maxMessage / 2, 1}, 2}, {[]int{2 * maxMessage, 1}, 1}, {[]int{1, 2 * maxMessage}, 1}} {
		m := message(tc.sizes...)
		if _, err := (mutePipeline{p, from}).AppendEntries(m, nil); err != nil || p.took != tc.want || len(m.Entries) != tc.want {
			t.Errorf("%v: %d of %d, %v", tc.sizes, p.took, len(m.Entries), err)
		}
	}
}
