package gameday

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/holdfast-lb/holdfast/admin/client"
)

// action is one thing that can be done.
type action struct {
	name, about string
	prepare     func(*game, *client.Status) deed
}

// deed is an action on a group as it is.
type deed struct {
	what, target string
	// run does it; nil: it cannot be done, and what says why.
	run func(context.Context) error
	// undo takes it back; nil: there is nothing to take back. byHand is what somebody can type in its place.
	undo   func(context.Context) error
	byHand string
	// none says, after run has failed and undo has ended well, that nothing was done.
	none func(ran error) bool
	// own takes from a status what is the deed's own doing, so that the rest can be a brake; nil: nothing. silent: that nobody answers may be, too.
	own    func(*client.Status)
	silent bool
}

// Kill is the name of the action that needs a hook.
const Kill = "kill"

// actions are all that can be done.
var actions = []action{
	{"transfer", "the leadership and the virtual address go to another node, drawn", (*game).transfer},
	{"evacuate", "the node that leads is evacuated, and that is undone", (*game).evacuate},
	{"backup", "a backup of the whole state is taken, and thrown away", (*game).backup},
	{Kill, "a node's process is killed by a command of yours (--kill), and started again", (*game).kill},
}

// refused tells that the group has said no.
func refused(err error) bool {
	var p *client.Problem
	return errors.As(err, &p) && p.Status >= http.StatusBadRequest && p.Status < http.StatusInternalServerError
}

// notDone tells that the group has said no, or that it could not: without a leader nothing is done.
func notDone(err error) bool {
	var p *client.Problem
	return refused(err) || errors.As(err, &p) && p.Status == http.StatusServiceUnavailable
}

func (g *game) transfer(s *client.Status) deed {
	var others []string
	for _, n := range s.Nodes {
		if n.Voter && n.Name != s.Leader && n.Evacuated == nil {
			others = append(others, n.Name)
		}
	}
	if len(others) == 0 {
		return deed{what: "there is no other node"}
	}
	to := others[g.random.IntN(len(others))]
	return deed{what: fmt.Sprintf("the leadership goes from %s to %s", s.Leader, to), target: to, none: notDone, run: func(ctx context.Context) error {
		_, err := g.Client.Transfer(ctx, to)
		return err
	}}
}

func (g *game) backup(*client.Status) deed {
	return deed{what: "a backup of the whole state is taken", none: notDone, run: func(ctx context.Context) error {
		b, err := g.Client.Backup(ctx)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, b)
		return errors.Join(err, b.Close())
	}}
}
