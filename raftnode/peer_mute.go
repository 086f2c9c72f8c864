package raftnode

import (
	"errors"
	"io"

	"github.com/hashicorp/raft"
)

// errMute is what raft gets for what it wants to tell others as the leader of a term that this node has given up.
var errMute = errors.New("this node has given up leading in this term")

// mute has nothing more be sent as the leader of term, or of one before. It holds for good: a node that leads again does so in a later one.
func (t *peerTransport) mute(term uint64) {
	for was := t.muted.Load(); was < term && !t.muted.CompareAndSwap(was, term); was = t.muted.Load() {
	}
}

// isMute tells whether this node has given up leading in term.
func (t *peerTransport) isMute(term uint64) bool { return term != 0 && term <= t.muted.Load() }

// AppendEntries sends entries or a heartbeat. Entries for a peer that is away come back with their error when it is there again, see absences.
func (t *peerTransport) AppendEntries(id raft.ServerID, target raft.ServerAddress, m *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	if t.isMute(m.Term) {
		return errMute
	}
	lighten(m)
	err := t.NetworkTransport.AppendEntries(id, target, m, resp)
	if isHeartbeat(m) {
		t.absent.beat(id, err == nil)
	} else if err != nil {
		t.awaitPeer(id, target, m.Term)
	}
	return err
}

// AppendEntriesPipeline sends entries one after the other.
func (t *peerTransport) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	p, err := t.NetworkTransport.AppendEntriesPipeline(id, target)
	if err != nil {
		return nil, err
	}
	return mutePipeline{p, t}, nil
}

// InstallSnapshot sends a snapshot. It waits as AppendEntries does.
func (t *peerTransport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, m *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	if t.isMute(m.Term) {
		return errMute
	}
	err := t.NetworkTransport.InstallSnapshot(id, target, m, resp, data)
	if err != nil {
		t.awaitPeer(id, target, m.Term)
	}
	return err
}

type mutePipeline struct {
	raft.AppendPipeline
	t *peerTransport
}

func (p mutePipeline) AppendEntries(m *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	if p.t.isMute(m.Term) {
		return nil, errMute
	}
	lighten(m)
	return p.AppendPipeline.AppendEntries(m, resp)
}
