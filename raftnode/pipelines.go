package raftnode

import (
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// pipelines closes what a leader sends its entries through when its term ends. raft 1.8.0 leaves one open whose answers nobody takes any more (replication.go: pipelineDecode returns when it
// sees the next term, while pipelineReplicate waits in AppendEntries for room among the entries under way). That goroutine never ended, and a shutdown waited for it in vain.
type pipelines struct {
	mu   sync.Mutex
	open map[*pipeline]struct{}
}

// pipedTransport is the transport as raft gets it.
type pipedTransport struct {
	*peerTransport
	pipes *pipelines
}

// AppendEntriesPipeline opens a pipeline to a follower.
func (t pipedTransport) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	inner, err := t.peerTransport.AppendEntriesPipeline(id, target)
	if err != nil {
		return nil, err
	}
	return t.pipes.add(inner, 3*t.timing.rpc), nil // writing a message and the answer before it have one rpc time-out each
}

type pipeline struct {
	raft.AppendPipeline
	of    *pipelines
	limit time.Duration
}

// AppendEntries closes the pipeline when a message cannot be sent for limit: one that raft opened while the term ended is closed by nobody else.
func (p *pipeline) AppendEntries(m *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	stop := time.AfterFunc(p.limit, func() { _ = p.Close() })
	defer stop.Stop()
	return p.AppendPipeline.AppendEntries(m, resp)
}

// Close may be called again, and by both: raft's own does nothing then.
func (p *pipeline) Close() error {
	p.of.mu.Lock()
	delete(p.of.open, p)
	p.of.mu.Unlock()
	return p.AppendPipeline.Close()
}

func (s *pipelines) add(inner raft.AppendPipeline, limit time.Duration) *pipeline {
	p := &pipeline{inner, s, limit}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = make(map[*pipeline]struct{})
	}
	s.open[p] = struct{}{}
	return p
}

// close closes all that are open; raft opens new ones when it leads again.
func (s *pipelines) close() {
	s.mu.Lock()
	var list []*pipeline
	for p := range s.open {
		list = append(list, p)
	}
	s.mu.Unlock()
	for _, p := range list {
		_ = p.Close() // says nothing that matters
	}
}
