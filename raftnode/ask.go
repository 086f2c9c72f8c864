package raftnode

import (
	"context"
	"errors"
	"fmt"
)

// Ask has the member of that name answer with its Options.Asked, which may be this node itself: then directly. payload and answer have at most 8 MiB. It takes
// as long as ctx lets it, 30 s at most on the other node. An error of the handler there is an ErrRefused here with its text (of at most 1 KiB); after any other error the outcome
// is unknown, unless nobody could be asked.
func (n *Node) Ask(ctx context.Context, name string, payload []byte) ([]byte, error) {
	return n.askBy(ctx, n.pool, name, payload)
}

// AskBeside is Ask by a connection of its own, for what is large: on the other one it would be in the way of session operations.
func (n *Node) AskBeside(ctx context.Context, name string, payload []byte) ([]byte, error) {
	return n.askBy(ctx, n.beside, name, payload)
}

// MemberIDs are the ids of all members, NAME/REST each, in the order of the membership as this node knows it. It asks nobody.
func (n *Node) MemberIDs() []string {
	servers := n.membership().Servers
	ids := make([]string, len(servers))
	for i, s := range servers {
		ids[i] = string(s.ID)
	}
	return ids
}

func (n *Node) askBy(ctx context.Context, by *callPool, name string, payload []byte) ([]byte, error) {
	reply, err := n.ask(ctx, by, name, payload)
	if err != nil {
		return nil, fmt.Errorf("ask node %.80s: %w", name, err)
	}
	return reply, nil
}

func (n *Node) ask(ctx context.Context, by *callPool, name string, payload []byte) ([]byte, error) {
	if len(payload) > maxPayload {
		return nil, refused("a question of %d bytes, at most %d", len(payload), maxPayload)
	}
	for _, s := range n.membership().Servers {
		switch {
		case nameOf(s.ID) != name:
		case s.ID == *n.id.Load():
			return n.answer(ctx, name, payload)
		default:
			return by.call(ctx, string(s.Address), name, callAsk, payload)
		}
	}
	return nil, refused("it is no member of this group")
}

func (n *Node) answer(ctx context.Context, from string, payload []byte) ([]byte, error) {
	if n.opt.Asked == nil {
		return nil, &failure{code: failUnsupported, text: "questions of other members"}
	}
	reply, err := n.opt.Asked(ctx, from, payload)
	switch {
	case err == nil && len(reply) > maxPayload:
		return nil, refused("the answer has %d bytes, at most %d", len(reply), maxPayload)
	case err != nil && ctx.Err() != nil:
		return nil, timeout(ctx)
	case err != nil && !errors.Is(err, ErrRefused):
		return nil, refused("%v", err)
	}
	return reply, err
}

// handleAsk serves members only: one that was removed has a certificate still.
func (n *Node) handleAsk(ctx context.Context, from caller, payload []byte) ([]byte, error) {
	if _, member := memberByID(n.membership(), from.id); !member {
		return nil, refused("node %s is not a member", from.name)
	}
	return n.answer(ctx, from.name, payload)
}
