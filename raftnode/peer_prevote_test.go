package raftnode

import (
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// TestPreVoteIsAWord: a node that lets another ask for votes keeps to that, and one whose word another node has lets nobody.
func TestPreVoteIsAWord(t *testing.T) {
	c := &challenges{}
	p := newPeerTransport(nil, timings["lan"], 0, func() *raft.Raft { return nil }, nil)
	p.words = c
	ask := func(id string, term uint64, raftSays bool) (granted bool, err error) {
		t.Helper()
		answer := make(chan raft.RPCResponse, 1)
		m := &raft.RequestPreVoteRequest{RPCHeader: raft.RPCHeader{ID: []byte(id)}, Term: term}
		passed := make(chan struct{})
		go func() {
			p.pass(t.Context(), raft.RPC{Command: m, RespChan: answer})
			close(passed)
		}()
		select {
		case rpc := <-p.rpcs:
			rpc.Respond(&raft.RequestPreVoteResponse{Term: term, Granted: raftSays}, nil)
		case <-passed:
		}
		a := <-answer
		if a.Error != nil {
			return false, a.Error
		}
		return a.Response.(*raft.RequestPreVoteResponse).Granted, nil
	}
	if granted, err := ask("n3", 8, false); granted || err != nil {
		t.Errorf("raft's no becomes %v, %v", granted, err)
	}
	if to := c.wordFor(7); to != "" {
		t.Errorf("raft has said no, and %s has this node's word", to)
	}
	if granted, err := ask("n2", 8, true); !granted || err != nil {
		t.Errorf("raft's yes becomes %v, %v", granted, err)
	}
	if granted, err := ask("n3", 8, true); granted || !errors.Is(err, errYield) {
		t.Errorf("a second node gets %v, %v", granted, err)
	}
	if granted, err := ask("n2", 8, true); !granted || err != nil {
		t.Errorf("the same node again gets %v, %v", granted, err)
	}
	if c.take(7, "n1", time.Hour) {
		t.Error("and the node stands itself")
	}
	if granted, err := ask("n3", 7, true); granted || err != nil {
		t.Errorf("an older question takes this node's word away: %v, %v", granted, err)
	}
	if granted, err := ask("n3", 9, true); !granted || err != nil {
		t.Errorf("a word of one term counts in the next: %v, %v", granted, err)
	}
}

// TestWordsEnd: a node that has another's word may die.
func TestWordsEnd(t *testing.T) {
	c := &challenges{}
	if !c.give(7, "n2", true, -time.Nanosecond) || c.wordFor(7) != "" || !c.free(7, "n1") || !c.give(7, "n3", true, time.Hour) {
		t.Error("a word that is over counts")
	}
	if c.give(7, "n2", false, time.Hour) || c.claim(7, "n1", time.Hour) {
		t.Error("a sole word is given twice")
	}
	if !c.give(8, "n1", false, time.Hour) || !c.give(8, "n2", false, time.Hour) || c.wordFor(8) != "n2" {
		t.Error("a word that is not sole is not given again")
	}
	if !c.claim(9, "n1", time.Hour) || c.give(9, "n2", false, time.Hour) {
		t.Error("a node that claims gives its word")
	}
	c.unclaim(9, "n1")
	if !c.give(9, "n2", false, time.Hour) {
		t.Error("a node that has claimed in vain keeps its word to itself")
	}
	if !c.take(10, "n1", time.Hour) || c.take(10, "n1", time.Hour) || !c.stoodIn(10) {
		t.Error("one election in a term")
	}
	c.untake(10)
	if !c.take(10, "n1", time.Hour) {
		t.Error("a node that did not come to stand may not again")
	}
}
