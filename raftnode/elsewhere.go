package raftnode

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// A copy of a data directory has the id, the keys and the vote of its node. Two processes with one vote can elect two leaders in one term, so a node does not take part while another process with its id answers: it asks at
// the address that the membership has for it, and has every member look there that answers. Each process has a number of its own, so that one node that can be reached by two addresses is not taken for two. Nobody can see
// a process that no member reaches; once it is seen, the leader does not take its address.

const (
	// elsewherePatience is how long a process that answers in a node's place may take to end: it may be the node itself, which was told to stop there and is started here.
	elsewherePatience = 5 * time.Second
	elsewhereAgain    = 250 * time.Millisecond
)

// newProcess is the number of one life of a node.
func newProcess() string {
	var b [8]byte
	rand.Read(b[:]) // never fails, by its contract
	return hex.EncodeToString(b[:])
}

// claim is what a node says that is about to take part: which process it is, and where it answers.
type claim struct {
	Process string `json:"process"`
	Addr    string `json:"addr"`
}

// errElsewhere says that a node runs in another place. It is an ErrRefused.
func errElsewhere(id raft.ServerID, addr string) error {
	return &failure{code: failElsewhere, text: fmt.Sprintf("node %s runs at %s already: this is a copy of its data directory or of its keys, and two processes with one vote could break the group; to have the node run here stop it there first, otherwise move this directory away and let this one join as a new member with a join token ('holdfast token create --role node')", id, addr)}
}

// elsewhere is an error when another process than the claimant answers as that member, where the membership has it.
func (n *Node) elsewhere(ctx context.Context, s raft.Server, c claim) error {
	if c.Process == "" || string(s.Address) == c.Addr {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, memberWait)
	defer cancel()
	info, err := n.askInfo(ctx, string(s.Address), nameOf(s.ID))
	if err != nil || info.ID != string(s.ID) || info.Process == "" || info.Process == c.Process {
		return nil
	}
	return errElsewhere(s.ID, string(s.Address))
}

// handleClaim looks for the caller where this node knows it.
func (n *Node) handleClaim(ctx context.Context, from caller, payload []byte) ([]byte, error) {
	c, err := decodeJSON[claim](payload)
	if err != nil {
		return nil, refused("%v", err)
	}
	s, member := memberByID(n.membership(), from.id)
	if !member {
		return nil, nil
	}
	if err := n.elsewhere(ctx, s, c); err != nil {
		n.knocked(s, c, false)
		return nil, err
	}
	return nil, nil
}

const (
	// knockAgain is for how long a copy that was told of is not told of again, copiesKnown how many are remembered.
	knockAgain, copiesKnown = 10 * time.Minute, 64
)

// knocks are the copies that were refused lately.
type knocks struct {
	mu    sync.Mutex
	first map[string]time.Time // by process and member
	told  map[string]time.Time // by member and address
}

// note takes one refusal and tells whether it is time to tell of it. One that is not sure may be the member itself, which was told to stop there and is started here: it asks for as long as alone has patience.
func (k *knocks) note(member raft.ServerID, c claim, sure bool, now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, m := range []map[string]time.Time{k.first, k.told} {
		for key, at := range m {
			if now.Sub(at) >= knockAgain || len(m) >= copiesKnown {
				delete(m, key)
			}
		}
	}
	if k.first == nil {
		k.first, k.told = make(map[string]time.Time), make(map[string]time.Time)
	}
	process, place := string(member)+" "+c.Process, string(member)+" "+c.Addr
	first, known := k.first[process]
	if !known {
		k.first[process], first = now, now
	}
	if _, told := k.told[place]; told || !sure && now.Sub(first) < elsewherePatience*3/4 {
		return false
	}
	k.told[place] = now
	return true
}

// knocked tells of a copy that was refused.
func (n *Node) knocked(s raft.Server, c claim, sure bool) {
	if !n.knocks.note(s.ID, c, sure, time.Now()) {
		return
	}
	n.log.Warn("a copy of a node that runs was refused", "member", nameOf(s.ID), "runs", string(s.Address), "copy", c.Addr)
	if n.opt.Copied != nil {
		n.opt.Copied(nameOf(s.ID), string(s.Address), c.Addr)
	}
}

// alone is nil when nobody finds another process with this node's id; it waits a moment for one that is ending.
func (n *Node) alone(ctx context.Context, members []raft.Server) error {
	over := time.Now().Add(elsewherePatience)
	for {
		err := n.lookElsewhere(ctx, members)
		if err == nil || ctx.Err() != nil {
			return nil
		}
		if time.Now().After(over) {
			return err
		}
		select {
		case <-time.After(elsewhereAgain):
		case <-ctx.Done():
			return nil
		}
	}
}

// lookElsewhere asks once, everybody at the same time.
func (n *Node) lookElsewhere(ctx context.Context, members []raft.Server) error {
	ctx, cancel := context.WithTimeout(ctx, 2*memberWait)
	defer cancel()
	c := claim{n.process, n.addr}
	errs := make([]error, len(members))
	var all sync.WaitGroup
	for i, s := range members {
		all.Go(func() {
			if s.ID == *n.id.Load() {
				errs[i] = n.elsewhere(ctx, s, c)
				return
			}
			if _, err := n.pool.call(ctx, string(s.Address), nameOf(s.ID), callClaim, encodeJSON(c)); isElsewhere(err) {
				errs[i] = err
			}
		})
	}
	all.Wait()
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return errs[i]
	}
	return nil
}

// isElsewhere tells that a node was refused because it runs in another place.
func isElsewhere(err error) bool {
	var f *failure
	return errors.As(err, &f) && f.code == failElsewhere
}
