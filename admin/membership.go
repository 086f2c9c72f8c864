package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

// memberChangeWait is how long a change of the membership is waited for: a leader that is to leave hands over first. NewServer leaves room for it.
const memberChangeWait = 60 * time.Second

type removeNodeInput struct {
	Name  string `path:"name" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$" patternDescription:"1 to 63 letters, digits, dots, dashes or underscores, the first a letter or a digit" doc:"of the node"`
	Force bool   `query:"force" doc:"also when the group could not survive the next failure any more"`
}

type removeNodeOutput struct {
	Body wire.NodeRemoved
}

type resyncOutput struct {
	Body wire.Resync
}

func (a *API) registerMembership() {
	refusals := func(op *huma.Operation) {
		op.Errors = append(op.Errors, http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity, http.StatusGatewayTimeout)
	}
	register(a, route{
		method: http.MethodDelete, path: "/v1/nodes/{name}", id: "remove-node", role: wire.RoleOperator, permission: permit.NodesWrite,
		summary: "Take a node out of the group",
		about: "One that leads hands over first. The node stops taking traffic, ends, and does not start again on its data directory; with an empty one and a join token it comes in as a new member. Refused " +
			"when those that are left would be no majority, and, without force, when the group could not survive the next failure any more where it could before.",
		edit: refusals,
	}, a.removeNode)
	register(a, route{
		method: http.MethodPost, path: "/v1/nodes/{name}/resync", id: "resync-node", role: wire.RoleOperator, permission: permit.NodesWrite,
		summary: "Have a node drop its state and take a new copy of it from the leader",
		about: "It keeps its name, its id and its keys. It is not ready meanwhile, and has no vote until it has caught up; one that leads hands over first. The answer comes when that has begun. Refused " +
			"when those that are left with a vote would be no majority.",
		edit: refusals,
	}, a.resyncNode)
}

func (a *API) removeNode(ctx context.Context, in *removeNodeInput) (*removeNodeOutput, error) {
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	switch _, all, err := a.findMember(ctx, in.Name); {
	case err != nil:
		return nil, err
	case len(all) == 1:
		return nil, refusedf("Nothing was removed: node %s is the last one, and the group ends with it. To give the group up stop it and delete its data directory.", in.Name)
	}
	if err := changeMembers(ctx, "Nothing was removed", func(ctx context.Context) error { return a.opt.Node.Remove(ctx, in.Name, in.Force) }); err != nil {
		return nil, err
	}
	a.opt.Logger.WarnContext(ctx, "node removed", "member", in.Name, "actor", callOf(ctx).who.actor, "force", in.Force)
	out := &removeNodeOutput{wire.NodeRemoved{Node: in.Name, Voters: []string{}}}
	members := a.opt.Node.Members(ctx)
	for i := range members {
		if m := &members[i]; m.Voter && m.Name != in.Name {
			out.Body.Voters = append(out.Body.Voters, m.Name)
		}
	}
	return out, nil
}

func (a *API) resyncNode(ctx context.Context, in *nodeInput) (*resyncOutput, error) {
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	m, _, err := a.findMember(ctx, in.Name)
	switch {
	case err != nil:
		return nil, err
	case !m.Reachable:
		return nil, refusedf("Node %s does not answer (%s), so it cannot be told to: start it, or remove it and let it join again with an empty data directory.", in.Name, m.Err)
	}
	if err := changeMembers(ctx, "Nothing was dropped", func(ctx context.Context) error { return a.opt.Node.Resync(ctx, in.Name) }); err != nil {
		return nil, err
	}
	a.opt.Logger.WarnContext(ctx, "node takes a new copy of the state", "member", in.Name, "actor", callOf(ctx).who.actor)
	return &resyncOutput{wire.Resync{Node: in.Name, Index: a.opt.State.Applied(), Before: m.Started, Voter: m.Voter}}, nil
}

// changeMembers runs one change and says how it ended.
func changeMembers(ctx context.Context, nothing string, change func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, memberChangeWait)
	defer cancel()
	err := change(bounded)
	var words *RefusedError
	switch {
	case errors.As(err, &words):
		return refusedf("%s: %s.", nothing, strings.TrimSuffix(words.Words, "."))
	case err != nil && bounded.Err() != nil && !errors.Is(err, ErrNoQuorum):
		return ErrOutcomeUnknown
	}
	return err
}
