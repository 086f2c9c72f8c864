package gameday

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
)

// victim is a node that is killed and started by hooks. What the hooks say of themselves is not believed: the group tells one process of a node from the next by when it was started.
type victim struct {
	Hooks
	client  *client.Client
	node    string
	started time.Time // the process that is to die; zero: the group does not say
	alive   bool      // it went on as if nothing had been
	gone    bool      // it answered no more, or by another process
	same    bool      // it was never gone, and serves by the process that was to die: the command has failed, or was ended
}

// startOf is when a node's process was started, by the group's word; zero: it does not say.
func startOf(s *client.Status, node string) time.Time {
	if n := nodeOf(s, node); n != nil {
		return n.Started
	}
	return time.Time{}
}

func nodeOf(s *client.Status, name string) *client.Node {
	if i := slices.IndexFunc(s.Nodes, func(n client.Node) bool { return n.Name == name }); i >= 0 {
		return &s.Nodes[i]
	}
	return nil
}

// kill runs the command, and waits until the node does not answer any more, or by another process.
func (v *victim) kill(ctx context.Context) error {
	if err := v.run(ctx, "kill", v.node, v.Kill[v.node]); err != nil {
		return err
	}
	settle := cmp.Or(v.settle, goneTime)
	limited, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	for ask := true; ask; ask = limited.Err() == nil {
		s, err := v.status(ctx, settle)
		v.gone = err != nil // nobody answers any more, perhaps because no other node is asked: it has to come back as another process all the same
		if err == nil {
			n := nodeOf(s, v.node)
			if v.gone = n == nil || !n.Reachable || !n.Started.Equal(v.started); v.gone {
				return nil
			}
		}
		_ = pause(limited, lookAgain)
	}
	if v.gone || ctx.Err() != nil {
		return ctx.Err()
	}
	v.alive = true
	return fmt.Errorf("the kill hook of node %s ended well and has not killed it: %v later the node answers%s; let the command end that process (HOLDFAST_NODE has the name of the node)",
		v.node, cmp.Or(v.settle, goneTime), v.since())
}

// status asks the group, for as long as it may go on saying that the node runs: the last question is not cut short, because an answer that does not come is a sign.
func (v *victim) status(ctx context.Context, limit time.Duration) (*client.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return v.client.Status(ctx)
}

// since names the process, where the group says when that was started.
func (v *victim) since() string {
	if v.started.IsZero() {
		return ""
	}
	return fmt.Sprintf(", by the process that was started at %s", v.started.Format(time.RFC3339Nano))
}

// start is the way back: the command that starts the node, if there is one and something was killed, and a look at who answers then.
func (v *victim) start(ctx context.Context) error {
	var started error
	if command := v.Start[v.node]; command != "" && !v.alive {
		started = v.run(ctx, "start", v.node, command)
	}
	return errors.Join(started, v.back(ctx))
}

// byHand is what starts the node.
func (v *victim) byHand() string {
	return cmp.Or(v.Start[v.node], "start the holdfast process of node "+v.node)
}

// own takes the death of the node from a status.
func (v *victim) own(s *client.Status) {
	if n := nodeOf(s, v.node); n != nil {
		n.Reachable, n.Ready, n.Lag = true, true, 0
	}
}

// back waits until the node serves. One that was killed must do so by another process: else it was only not to be reached for a while.
func (v *victim) back(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(v.returns, UndoTime))
	defer cancel()
	why := "nobody answers"
	for {
		if s, err := v.client.Status(ctx); err == nil {
			n := nodeOf(s, v.node)
			switch {
			case n == nil:
				why = "the group does not have it any more"
			case !n.Reachable:
				why = "it does not answer"
			case !n.Ready:
				why = "it is not ready: " + n.Reason
			case v.gone && !v.started.IsZero() && n.Started.Equal(v.started):
				return fmt.Errorf("node %s was not killed: it did not answer for a while, and does so again%s", v.node, v.since())
			default:
				v.same = !v.gone && !v.started.IsZero() && n.Started.Equal(v.started)
				return nil
			}
		}
		if err := pause(ctx, lookAgain); err != nil {
			return fmt.Errorf("node %s has not come back: %s; by hand: %s", v.node, why, v.byHand())
		}
	}
}
