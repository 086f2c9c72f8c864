package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

// transferWait is how long a transfer is waited for: connections that are open may finish first. NewServer leaves room for it.
const transferWait = 60 * time.Second

const (
	// receiptWait is how long the answer to a transfer waits for the new leader's word on the addresses, which it takes within milliseconds. Where a virtual address was held once and the
	// nodes have none any more, that never comes.
	receiptWait = 2 * time.Second
	receiptLook = 5 * time.Millisecond
)

type nodeInput struct {
	Name string `path:"name" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$" patternDescription:"1 to 63 letters, digits, dots, dashes or underscores, the first a letter or a digit" doc:"of the node"`
}

type transferOutput struct {
	Body wire.Transferred
}

type evacuateInput struct {
	Name           string `path:"name" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$" patternDescription:"1 to 63 letters, digits, dots, dashes or underscores, the first a letter or a digit" doc:"of the node"`
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"the same request with the same key is applied once"`
	Body           wire.EvacuationRequest
}

type evacuateOutput struct {
	Body wire.Evacuation
}

type returnInput struct {
	Name           string `path:"name" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$" patternDescription:"1 to 63 letters, digits, dots, dashes or underscores, the first a letter or a digit" doc:"of the node"`
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"the same request with the same key is applied once"`
}

func (a *API) registerNodes() {
	refusals := func(op *huma.Operation) {
		op.Errors = append(op.Errors, http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity, http.StatusGatewayTimeout)
	}
	register(a, route{
		method: http.MethodPost, path: "/v1/nodes/transfer", id: "transfer", role: wire.RoleOperator, permission: permit.NodesWrite,
		summary: "Hand leadership and the virtual addresses over to any node that is eligible",
		about: "New connections go to the new holder at once, those that are open may finish. The answer comes when the other node leads and, where there are virtual addresses, holds them; " +
			fmt.Sprintf("after %v the outcome is unknown, and the hand-over goes on.", transferWait),
		edit: refusals,
	}, func(ctx context.Context, _ *struct{}) (*transferOutput, error) { return a.transfer(ctx, "") })
	register(a, route{
		method: http.MethodPost, path: "/v1/nodes/{name}/transfer", id: "transfer-to-node", role: wire.RoleOperator, permission: permit.NodesWrite,
		summary: "Hand leadership and the virtual addresses over to this node",
		about:   "As with POST /v1/nodes/transfer. It is done at once for the node that leads and holds already.",
		edit:    refusals,
	}, func(ctx context.Context, in *nodeInput) (*transferOutput, error) { return a.transfer(ctx, in.Name) })
	register(a, route{
		method: http.MethodPost, path: "/v1/nodes/{name}/evacuate", id: "evacuate-node", role: wire.RoleOperator, permission: permit.NodesWrite,
		summary: "Have a node neither lead nor hold the virtual addresses, until that is taken back",
		about: "The node hands both over without a failed request, and goes on serving what still reaches it. The answer comes when the group knows; GET /v1/status shows when the node neither leads nor " +
			"holds, and has no connection to the virtual addresses any more. It survives restarts. Refused when no other node could take over.",
		edit: refusals,
	}, a.evacuate)
	register(a, route{
		method: http.MethodDelete, path: "/v1/nodes/{name}/evacuate", id: "return-node", role: wire.RoleOperator, permission: permit.NodesWrite,
		summary: "Take an evacuation back",
		about:   "Also of a name that no member of the group has.",
		edit:    refusals,
	}, a.endEvacuation)
}

// findMember asks the members, and finds one of them.
func (a *API) findMember(ctx context.Context, name string) (*Member, []Member, error) {
	members := a.opt.Node.Members(ctx)
	if m := memberOf(members, name); m != nil {
		return m, members, nil
	}
	names := make([]string, len(members))
	for i := range members {
		names[i] = members[i].Name
	}
	return nil, nil, notFoundf("The group has no node %s; its nodes are %s.", name, strings.Join(names, ", "))
}

func refusedf(format string, args ...any) *wire.Problem {
	return wire.NewProblem(http.StatusConflict, wire.CodeRefused, fmt.Sprintf(format, args...))
}

// transfer hands over to a node, or to any for an empty name.
func (a *API) transfer(ctx context.Context, to string) (*transferOutput, error) {
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	if to != "" {
		m, _, err := a.findMember(ctx, to)
		switch e := a.opt.State.Operating().Evacuation(to); {
		case err != nil:
			return nil, err
		case e != nil:
			return nil, refusedf("Node %s is evacuated, so it does not lead: 'holdfast node evacuate %s --undo' takes that back.", to, to)
		case !m.Reachable:
			return nil, refusedf("Node %s does not answer (%s), so nothing was handed over to it.", to, m.Err)
		}
	}
	bounded, cancel := context.WithTimeout(ctx, transferWait)
	defer cancel()
	if err := a.opt.Node.Transfer(bounded, to); err != nil {
		var words *RefusedError
		switch {
		case errors.As(err, &words):
			return nil, refusedf("Nothing was handed over: %s.", strings.TrimSuffix(words.Words, "."))
		case bounded.Err() != nil && !errors.Is(err, ErrNoQuorum):
			return nil, ErrOutcomeUnknown
		}
		return nil, err
	}
	// It is done, whatever becomes of this: then the answer is what this node knows by itself.
	_ = a.sync(ctx)
	info := a.opt.Node.Info()
	return &transferOutput{wire.Transferred{Leader: info.Leader, Term: info.Term, Holder: wireHolder(a.receipt(ctx, info.Term))}}, nil
}

// receipt waits for what the leader of the term has the group note of the addresses, which it does after it has taken them; nil when it does not come: what an earlier term
// has noted says nothing about this one.
func (a *API) receipt(ctx context.Context, term uint64) *fsm.Holder {
	if a.opt.State.Operating().Holder == nil {
		return nil // there is no virtual address
	}
	over := time.NewTimer(receiptWait)
	defer over.Stop()
	look := time.NewTicker(receiptLook)
	defer look.Stop()
	for {
		if h := a.opt.State.Operating().Holder; h != nil && h.Term >= term {
			return h
		}
		select {
		case <-look.C:
		case <-over.C:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

func (a *API) evacuate(ctx context.Context, in *evacuateInput) (*evacuateOutput, error) {
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	_, members, err := a.findMember(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	op := a.opt.State.Operating()
	if op.Evacuation(in.Name) == nil && !othersCanLead(op, members, in.Name) {
		return nil, refusedf("No other node could take over from node %s: the others do not answer, have no vote or are evacuated ('holdfast node list' says which).", in.Name)
	}
	actor := callOf(ctx).who.actor
	res, err := a.propose(ctx, &fsm.EvacuationSet{
		RequestID: requestID(in.IdempotencyKey, []byte("evacuate"), []byte(in.Name), []byte(actor), []byte(in.Body.Reason)),
		Node:      in.Name, Actor: actor, Reason: in.Body.Reason,
	})
	switch {
	case err != nil:
		return nil, err
	case res.Code != fsm.CodeOK:
		return nil, refused(res)
	}
	e := a.opt.State.Operating().Evacuation(in.Name)
	if e == nil { // taken back meanwhile
		e = &fsm.Evacuation{Node: in.Name, Since: a.opt.State.Now(), Actor: actor, Reason: in.Body.Reason}
	}
	return &evacuateOutput{*wireEvacuation(e, true)}, nil
}

// othersCanLead tells whether a node is there that may lead when the one of that name does not.
func othersCanLead(op *fsm.Operating, members []Member, name string) bool {
	for i := range members {
		if m := &members[i]; m.Name != name && m.Reachable && m.Voter && op.Evacuation(m.Name) == nil {
			return true
		}
	}
	return false
}

func (a *API) endEvacuation(ctx context.Context, in *returnInput) (*struct{}, error) {
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	actor := callOf(ctx).who.actor
	res, err := a.propose(ctx, &fsm.EvacuationClear{RequestID: requestID(in.IdempotencyKey, []byte("return"), []byte(in.Name), []byte(actor)), Node: in.Name, Actor: actor})
	switch {
	case err != nil:
		return nil, err
	case res.Code == fsm.CodeAbsent:
		return nil, notFoundf("Node %s is not evacuated.", in.Name)
	case res.Code != fsm.CodeOK:
		return nil, refused(res)
	}
	return nil, nil
}
