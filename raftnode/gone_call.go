package raftnode

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/hashicorp/raft"
)

// cause is why a leader is held to be gone. Numbers are append-only.
type cause uint8

const (
	causeDead   cause = 1 // its connections have ended, and its peer port refuses new ones
	causeSilent cause = 2 // nothing was heard of it for a heartbeat time-out
)

func (c cause) String() string {
	if c == causeDead {
		return "dead"
	}
	return "silent"
}

// goneRequest asks another voter whether it finds the leader gone too. Layout, integers little-endian:
//
//	0   cause         1 byte; its top bit: the asking node claims, and wants the word of the one that it asks for itself alone
//	1   term          8 bytes: in which the leader leads
//	9   last index    8 bytes: of the asking node's log
//	17  last term     8 bytes
//	25  leader        1 to 255 bytes: its Raft id
type goneRequest struct {
	cause cause
	claim bool
	lost  lost
	last  position
}

// position is the end of a log.
type position struct{ index, term uint64 }

func (p position) longer(than position) bool {
	return p.term > than.term || p.term == than.term && p.index > than.index
}

const (
	goneFixed = 25
	goneClaim = 0x80
)

func (g goneRequest) encode() []byte {
	first := byte(g.cause)
	if g.claim {
		first |= goneClaim
	}
	b := append(make([]byte, 0, goneFixed+len(g.lost.leader)), first)
	b = binary.LittleEndian.AppendUint64(b, g.lost.term)
	b = binary.LittleEndian.AppendUint64(b, g.last.index)
	b = binary.LittleEndian.AppendUint64(b, g.last.term)
	return append(b, g.lost.leader...)
}

func decodeGone(b []byte) (goneRequest, error) {
	if len(b) <= goneFixed || len(b) > goneFixed+255 {
		return goneRequest{}, fmt.Errorf("%w: question about a leader: %d bytes", errFrame, len(b))
	}
	g := goneRequest{cause: cause(b[0] &^ goneClaim), claim: b[0]&goneClaim != 0}
	if g.cause != causeDead && g.cause != causeSilent {
		return goneRequest{}, &failure{code: failUnsupported, text: fmt.Sprintf("cause %d", g.cause)}
	}
	g.lost.term = binary.LittleEndian.Uint64(b[1:])
	g.last = position{binary.LittleEndian.Uint64(b[9:]), binary.LittleEndian.Uint64(b[17:])}
	g.lost.leader = raft.ServerID(b[goneFixed:])
	return g, nil
}

// verdict is the answer, one byte. Numbers are append-only.
type verdict byte

const (
	verdictNo     verdict = 0 // the leader is there
	verdictGo     verdict = 1 // it is gone, and the one who asks has the word of the one who answers
	verdictLonger verdict = 2 // it is gone, and the one who answers has a longer log
	verdictFirst  verdict = 3 // it is gone, the logs are equal, and the one who answers comes first by its id
	verdictTaken  verdict = 4 // it is gone, and the one who answers stands already, or has given its word to another one
)

func decodeVerdict(b []byte) (verdict, error) {
	if len(b) != 1 || verdict(b[0]) > verdictTaken {
		return 0, fmt.Errorf("%w: answer about a leader: %d bytes", errFrame, len(b))
	}
	return verdict(b[0]), nil
}

// handleGone answers another voter, and the leader itself when it is asked.
func (n *Node) handleGone(ctx context.Context, from caller, payload []byte) ([]byte, error) {
	g, err := decodeGone(payload)
	if err != nil {
		if asFailure(err).code == failUnsupported {
			return nil, err
		}
		return nil, refused("%v", err)
	}
	r := n.raft.Load()
	if r == nil {
		if g.lost.leader == *n.id.Load() {
			return []byte{byte(verdictGo)}, nil // it has just been started
		}
		return nil, retryLater("the node is " + *n.phase.Load())
	}
	if s, ok := memberByID(n.membership(), from.id); !ok || s.Suffrage != raft.Voter {
		return nil, refused("node %s has no vote", from.name)
	}
	if g.lost.leader == *n.id.Load() {
		return []byte{byte(n.ownReignOver(r, g.lost.term))}, nil
	}
	return []byte{byte(n.judgeGone(ctx, r, from.id, g))}, nil
}

// ownReignOver is the answer of the one that is asked whether it has gone.
func (n *Node) ownReignOver(r *raft.Raft, term uint64) verdict {
	if r.State() == raft.Leader && r.CurrentTerm() == term || n.trans.holds() {
		return verdictNo
	}
	return verdictGo
}

func (n *Node) judgeGone(ctx context.Context, r *raft.Raft, from raft.ServerID, g goneRequest) verdict {
	s, term, self := &n.challenges, g.lost.term, *n.id.Load()
	if s.stoodIn(term) {
		return verdictTaken
	}
	if !n.isLost(r, g.lost) || !n.confirms(ctx, g.cause, g.lost) || !n.isLost(r, g.lost) {
		return verdictNo
	}
	able := r.State() == raft.Follower && n.mayStand()
	v := s.answer(g, self, from, n.lastPosition(r), able, n.timing.keepWord())
	if v == verdictLonger || v == verdictFirst {
		n.challenge(g.cause, g.lost) // the one who asks counts on that
	}
	return v
}

// isLost is false when this node is in another term, or follows another leader.
func (n *Node) isLost(r *raft.Raft, l lost) bool {
	_, leader := r.LeaderWithID()
	return r.CurrentTerm() == l.term && (leader == l.leader || leader == "")
}

// confirms looks whether the leader is gone as seen from here, and waits for what cannot be long in coming.
func (n *Node) confirms(ctx context.Context, c cause, l lost) bool {
	if c == causeDead {
		return n.isDead(ctx, l)
	}
	for {
		left := n.timing.heartbeat - n.silence()
		if left <= 0 {
			return true
		}
		if left > n.timing.heartbeat/2 {
			return false // another follower that hears the leader does so at least every fifth of the time-out
		}
		select {
		case <-time.After(left):
		case <-ctx.Done():
			return false
		}
	}
}

// silence is how long ago a leader was heard of; raft runs.
func (n *Node) silence() time.Duration {
	at := n.raft.Load().LastContact()
	if at.IsZero() {
		at = n.trans.started
	}
	return time.Since(at)
}

// lastPosition is the end of this node's log, or of its snapshot when the log is empty.
func (n *Node) lastPosition(r *raft.Raft) position {
	stats := r.Stats()
	number := func(key string) uint64 {
		v, _ := strconv.ParseUint(stats[key], 10, 64)
		return v
	}
	log := position{number("last_log_index"), number("last_log_term")}
	snap := position{number("last_snapshot_index"), number("last_snapshot_term")}
	if snap.index > log.index {
		return snap
	}
	return log
}

// mayStand is false for a node that could not keep what it were to lead.
func (n *Node) mayStand() bool {
	if n.DiskTrouble() != nil || n.barred() != nil {
		return false
	}
	s, ok := memberByID(n.membership(), *n.id.Load())
	return ok && s.Suffrage == raft.Voter
}
