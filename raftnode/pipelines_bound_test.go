package raftnode

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// stuckPipeline takes no message until it is closed, as one whose answers nobody reads.
type stuckPipeline struct {
	raft.AppendPipeline
	once   sync.Once
	closed chan struct{}
}

func (p *stuckPipeline) AppendEntries(*raft.AppendEntriesRequest, *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	<-p.closed
	return nil, raft.ErrPipelineShutdown
}

func (p *stuckPipeline) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func TestStuckPipelineEnds(t *testing.T) {
	p := (&pipelines{}).add(&stuckPipeline{closed: make(chan struct{})}, 20*time.Millisecond)
	done := make(chan error, 1)
	go func() {
		_, err := p.AppendEntries(&raft.AppendEntriesRequest{}, &raft.AppendEntriesResponse{})
		done <- err
	}()
	select {
	case err := <-done:
		if !errors.Is(err, raft.ErrPipelineShutdown) {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the message waits for ever")
	}
}
