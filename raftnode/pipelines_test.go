package raftnode

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// TestPipelineThatNobodyReads: a pipeline whose answers nobody takes is full before long, and a send waits. It must end with the term.
func TestPipelineThatNobodyReads(t *testing.T) {
	l, err := raft.NewTCPTransport("127.0.0.1:0", nil, 1, time.Minute, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	defer close(done)
	go func() { // the follower answers everything
		for {
			select {
			case rpc := <-l.Consumer():
				rpc.Respond(&raft.AppendEntriesResponse{}, nil)
			case <-done:
				return
			}
		}
	}()
	leader, err := raft.NewTCPTransport("127.0.0.1:0", nil, 1, time.Minute, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer leader.Close()
	pipes := &pipelines{}
	piped := pipedTransport{&peerTransport{NetworkTransport: leader, timing: timings["wan"]}, pipes}
	p, err := piped.AppendEntriesPipeline("n2", l.LocalAddr())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		for range 10_000 {
			if _, err := p.AppendEntries(&raft.AppendEntriesRequest{}, &raft.AppendEntriesResponse{}); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	select {
	case err := <-ended:
		t.Fatalf("it does not wait, so that this test shows nothing: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	pipes.close()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the send waits still")
	}
	if n := len(pipes.open); n != 0 {
		t.Errorf("%d are open", n)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
