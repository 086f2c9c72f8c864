package raftnode

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// Heartbeat has the leader serve a request about an instance that keeps itself registered, with its Options.Heartbeat: here, or one hop away. It
// asks again until ctx ends while there is no leader, or a new one is not ready; the request must be such that it can be repeated.
func (n *Node) Heartbeat(ctx context.Context, request []byte) ([]byte, error) {
	sent := false
	wait := backoff{base: 4 * time.Millisecond, limit: 100 * time.Millisecond}
	for {
		at, changed := n.watch.get()
		if at.known {
			reply, err := n.heartbeatAt(ctx, at, request)
			if err == nil {
				return reply, nil
			}
			if errors.Is(err, ErrRefused) || n.refusedForRoom(err) && !sent {
				return nil, fmt.Errorf("heartbeat: %w", err)
			}
			sent = sent || !notDone(err)
		} else if !n.watch.quorum() {
			return nil, noQuorum(sent)
		}
		if err := n.pause(ctx, changed, wait.next(), at.known); err != nil {
			return nil, err
		}
	}
}

func (n *Node) heartbeatAt(ctx context.Context, at leaderInfo, request []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, n.timing.attempt())
	defer cancel()
	if !at.self {
		return n.pool.call(ctx, at.addr, nameOf(at.id), callHeartbeat, request)
	}
	reply, err := n.handleHeartbeat(ctx, caller{}, request)
	if err != nil {
		return nil, asFailure(err)
	}
	return reply, nil
}

func (n *Node) handleHeartbeat(ctx context.Context, _ caller, request []byte) ([]byte, error) {
	if len(request) > maxSmall {
		return nil, refused("a heartbeat of %d bytes, at most %d", len(request), maxSmall)
	}
	if n.opt.Heartbeat == nil {
		return nil, &failure{code: failUnsupported, text: "heartbeats of instances"}
	}
	if _, err := n.leading(ctx); err != nil {
		return nil, err
	}
	return n.opt.Heartbeat(ctx, request)
}

// loggedWait bounds how long TellLogged waits for one node: it is a courtesy.
const loggedWait = 300 * time.Millisecond

// TellLogged tells all other members that the group's events up to the given one have their line in some log. It returns when they have heard of
// it or cannot be reached.
func (n *Node) TellLogged(ctx context.Context, event uint64) {
	ctx, cancel := context.WithTimeout(ctx, loggedWait)
	defer cancel()
	var wg sync.WaitGroup
	for _, s := range n.membership().Servers {
		if string(s.ID) == n.ID() {
			continue
		}
		wg.Add(1)
		go func(s raft.Server) {
			defer wg.Done()
			if _, err := n.pool.call(ctx, string(s.Address), nameOf(s.ID), callLogged, encodeIndex(event)); err != nil {
				n.log.Debug("tell which events are in the log", "to", nameOf(s.ID), "error", err)
			}
		}(s)
	}
	wg.Wait()
}

func (n *Node) handleLogged(_ context.Context, _ caller, payload []byte) ([]byte, error) {
	event, err := decodeIndex(payload)
	if err != nil {
		return nil, refused("%v", err)
	}
	if n.opt.Logged != nil {
		n.opt.Logged(event)
	}
	return nil, nil
}
