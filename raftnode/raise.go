package raftnode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// The leader raises the group's schema once every node knows a later one (fsm/schema.go). Every node means every member, also those without a vote: one that does
// not answer may come back with the version that it had. They must all have said so for as long as a new member must keep up to get its vote, so that a version that
// does not stay up can still be taken back. While the group has the older schema nothing of the later one is proposed (gate).

// raiseEvery is how often the leader looks, at most.
const raiseEvery = 2 * time.Second

// ErrSchema: what was asked needs a schema of the state that the group does not have yet. Nothing was done.
var ErrSchema = errors.New("the group's schema is too old")

// gate refuses an entry that this node has encoded, or checked, and that the group may not have yet. Under stamp.mu, so on the leader nothing lowers or raises
// the schema between this and its place in the log; one that is being raised counts when it is applied.
func (n *Node) gate(entry []byte) error {
	if need, have := fsm.EntrySchema(entry), n.state.Schema(); need > have {
		return refused("%s", fsm.TooEarly(need, have))
	}
	return nil
}

// early is gate for whoever proposes: it never reaches a leader of an older version, which does not know such a command.
func (n *Node) early(entry []byte) error {
	if need, have := fsm.EntrySchema(entry), n.state.Schema(); need > have {
		return fmt.Errorf("%w: %s", ErrSchema, fsm.TooEarly(need, have))
	}
	return nil
}

// raiseSchema is a duty of the leader.
func (n *Node) raiseSchema(l *leadership) {
	var since time.Time // all nodes have known a later schema from then on
	for l.until(min(raiseEvery, max(n.opt.Steady/4, time.Millisecond))) {
		if n.state.Group() == nil || n.knows() <= n.state.Schema() {
			continue
		}
		to, why := n.common(l.ctx)
		now := time.Now()
		switch {
		case to <= n.state.Schema():
			since = time.Time{}
			if n.said.due("schema: "+why, now) {
				n.log.Info("the schema of the state is not raised yet", "schema", n.state.Schema(), "here", n.knows(), "reason", why)
			}
		case since.IsZero():
			since = now
		case now.Sub(since) >= n.opt.Steady:
			if err := n.raiseTo(l, to); err != nil {
				since = time.Time{}
				n.log.Debug("raise the schema", "error", err)
			}
		}
	}
}

// knows is the latest schema that this node knows, and says that it knows.
func (n *Node) knows() int { return min(n.says.schema(), fsm.Schema) }

// common is the latest schema that all members know, 0 while one of them does not answer; why names those that know no later one than the group has.
func (n *Node) common(ctx context.Context) (schema int, why string) {
	schema = n.knows()
	var behind []string
	for _, m := range n.Members(ctx) {
		knows := m.Info.release().schema()
		switch {
		case !m.Reachable:
			knows = 0
			behind = append(behind, fmt.Sprintf("node %s does not answer", m.Name))
		case knows <= n.state.Schema():
			behind = append(behind, fmt.Sprintf("node %s runs version %v", m.Name, m.Info.release()))
		}
		schema = min(schema, knows)
	}
	slices.Sort(behind)
	return schema, strings.Join(behind, ", ")
}

// raiseTo asks everybody once more while nobody can join, and raises the schema.
func (n *Node) raiseTo(l *leadership, to int) error {
	n.admitting.Lock()
	defer n.admitting.Unlock()
	if knows, why := n.common(l.ctx); knows < to {
		return errors.New(cmp.Or(why, "the nodes have changed"))
	}
	was := n.state.Schema()
	r, err := n.command(l, &fsm.SchemaRaise{To: to, Node: n.opt.Name})
	if err == nil && r.Code != fsm.CodeOK {
		err = fmt.Errorf("%s", r.Message)
	}
	if err == nil {
		n.log.Info("schema of the state raised", "from", was, "to", to)
	}
	return err
}
