package raftnode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/internal/failpoint"
)

// joinWait bounds one attempt to join: the leader may have to wait for a member that does not answer.
const joinWait = 5 * time.Second

// joinGroup asks the nodes of the group in turn until this one is a member.
func (n *Node) joinGroup(ctx context.Context) error {
	if len(n.opt.Join) == 0 && n.opt.Discovered == nil && !n.comesBack() {
		return errors.New("this node has no state and knows no node of its group: name some with --join HOST:PORT, separated by commas, or let it look for them with --discover multicast")
	}
	n.log.Info("joining the group", "by", slices.Concat(n.known(), n.back.addresses()))
	wait := backoff{base: 50 * time.Millisecond, limit: 2 * time.Second}
	for {
		for _, addr := range slices.Concat(n.known(), n.back.addresses(), n.formation.addresses(nil, n.addr)) {
			if addr == n.addr {
				continue
			}
			err := n.askJoin(ctx, addr)
			if err == nil {
				failpoint.Hit(failpoint.JoinAdmitted)
				return nil
			}
			if errors.Is(err, ErrRefused) {
				return fmt.Errorf("join the group: %w", err)
			}
			n.inTrouble(addr, err)
		}
		select {
		case <-time.After(wait.next()):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// askJoin asks one node, and the leader that it names.
func (n *Node) askJoin(ctx context.Context, addr string) error {
	return n.askLeader(ctx, addr, callJoin, encodeJSON(n.request()))
}

func (n *Node) askLeader(ctx context.Context, addr string, kind callKind, payload []byte) error {
	ctx, cancel := context.WithTimeout(ctx, joinWait)
	defer cancel()
	err := n.askOne(ctx, addr, "", kind, payload)
	var f *failure
	if errors.As(err, &f) && f.code == failNotLeader && f.leader != "" && f.leader != addr && f.leader != n.addr {
		err = n.askOne(ctx, f.leader, nameOf(f.leaderID), kind, payload)
	}
	return err
}

// askOne asks a node that may lead. One of schema 2 or later judges what this node says about its program; those before let everybody in, so that
// this node has to refuse itself.
func (n *Node) askOne(ctx context.Context, addr, name string, kind callKind, payload []byte) error {
	info, err := n.askInfo(ctx, addr, name)
	if err != nil {
		return err
	}
	if text := n.says.apart(n.opt.Name, info.release(), info.Name, info.GroupSchema); text != "" && info.Schema < 2 {
		return retryLater(text)
	}
	if _, err = n.pool.call(ctx, addr, name, kind, payload); err == nil {
		n.noteVersion(info.Name, info.release())
	}
	return err
}

// keepPlace does what a member has to do about itself: announce a changed address, ask for a vote once it has caught up,
// and drop the authority's key once the group's state has it.
func (n *Node) keepPlace(ctx context.Context) {
	wait := backoff{base: 50 * time.Millisecond, limit: time.Second}
	for {
		settled, err := n.checkPlace(ctx)
		if err != nil && ctx.Err() == nil {
			n.log.Debug("place in the group", "error", err)
		}
		pause := 5 * time.Second
		if !settled {
			pause = wait.next()
		} else {
			wait.reset()
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

func (n *Node) checkPlace(ctx context.Context) (settled bool, err error) {
	if err := n.forgetCAKey(); err != nil {
		return false, err
	}
	s, member := memberByID(n.membership(), *n.id.Load())
	ctx, cancel := context.WithTimeout(ctx, joinWait)
	defer cancel()
	if at, _ := n.watch.get(); !at.known { // one that is out of its group hears of no leader: see dialRaft and acceptPeer
		if reason := n.expelled(ctx); reason != "" {
			n.expel(reason)
			return false, refused("%s", reason)
		}
	}
	if !member {
		return false, nil // the leader's first entries have not arrived
	}
	if string(s.Address) != n.addr {
		return false, n.announce(ctx)
	}
	if at, _ := n.watch.get(); at.known {
		if err := n.exchange(ctx, at); err != nil {
			return false, err
		}
	}
	if n.state.Group() != nil {
		if err := n.endResync(); err != nil {
			return false, err
		}
	}
	if votes := s.Suffrage == raft.Voter; votes == n.opt.ReadOnly {
		return false, n.askVote(ctx, votes)
	}
	return n.exchanged.Load() && n.state.Group() != nil && len(n.creds.Load().CAKeyDER) == 0, nil
}

// announce tells the leader this node's new address. The leader cannot reach it at the old one, so that this node does not
// know who leads: it asks all members in turn. A node that leads although it has moved (it is alone, or the others have
// kept their connections) tells itself.
func (n *Node) announce(ctx context.Context) error {
	request := encodeJSON(n.request())
	if n.lead.Load() != nil {
		_, err := n.handleAnnounce(ctx, caller{n.opt.Name, *n.id.Load()}, request)
		return err
	}
	var errs []error
	for _, s := range n.membership().Servers {
		if s.ID == *n.id.Load() {
			continue
		}
		err := n.askLeader(ctx, string(s.Address), callAnnounce, request)
		if err == nil {
			return nil
		}
		if isElsewhere(err) {
			n.fail(err)
			return err
		}
		errs = append(errs, fmt.Errorf("node %s: %w", nameOf(s.ID), err))
	}
	return errors.Join(errs...)
}

// handlers is what this node answers to others.
func (n *Node) handlers() map[callKind]handler {
	return map[callKind]handler{
		callHello:     n.handleHello,
		callPromise:   n.handlePromise,
		callForm:      n.handleForm,
		callJoin:      n.handleJoin,
		callToken:     n.handleToken,
		callPromote:   n.handlePromote,
		callAnnounce:  n.handleAnnounce,
		callRecord:    n.handleRecord,
		callPropose:   n.handlePropose,
		callReadIndex: n.handleReadIndex,
		callTerm:      n.handleTerm,
		callInfo:      n.handleInfo,
		callWait:      n.handleWait,
		callHeartbeat: n.handleHeartbeat,
		callLogged:    n.handleLogged,
		callAsk:       n.handleAsk,
		callLease:     n.handleLease,
		callRoom:      n.handleRoom,
		callDisk:      n.handleDisk,
		callGone:      n.handleGone,
		callRemoved:   n.handleRemoved,
		callDemote:    n.handleDemote,
		callEpoch:     n.handleEpoch,
		callClaim:     n.handleClaim,

		callDigest:     n.handleDigest,
		callCheckpoint: n.handleCheckpoint,
		callCompare:    n.handleCompare,

		callTail: n.handleTail,
		callWord: n.handleWord,
	}
}
