package gameday

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/holdfast-lb/holdfast/admin/client"
)

func nothing(context.Context) error { return nil }

// Kill is the name of the action that needs a hook.
const Kill = "kill"

// actions are all that can be done, by name.
func actions(h Hooks) []action {
	return []action{
		{"transfer", "the leadership and the virtual address go to another node, drawn", transfer},
		{"evacuate", "the node that leads is evacuated, and that is undone", evacuate},
		{"backup", "a backup of the whole state is taken, and thrown away", backup},
		{Kill, "a node's process is killed by a command of yours (--kill), and started again", h.kill},
	}
}

func transfer(_ context.Context, c *client.Client, s *client.Status, random *rand.Rand) (what, target string, run, undo func(context.Context) error) {
	var others []string
	for _, n := range s.Nodes {
		if n.Voter && n.Name != s.Leader && n.Evacuated == nil {
			others = append(others, n.Name)
		}
	}
	if len(others) == 0 {
		return "there is no other node", "", nil, nil
	}
	to := others[random.IntN(len(others))]
	return fmt.Sprintf("the leadership goes from %s to %s", s.Leader, to), to, func(ctx context.Context) error {
		_, err := c.Transfer(ctx, to)
		return err
	}, nothing
}

func evacuate(_ context.Context, c *client.Client, s *client.Status, _ *rand.Rand) (what, target string, run, undo func(context.Context) error) {
	node := s.Leader
	return "node " + node + ", which leads, is evacuated", node, func(ctx context.Context) error {
			_, err := c.Evacuate(ctx, node, "game day")
			return err
		}, func(ctx context.Context) error {
			err := c.EndEvacuation(ctx, node)
			var problem *client.Problem
			if errors.As(err, &problem) && problem.Code == "not-found" {
				return nil // it never was
			}
			return err
		}
}

func backup(_ context.Context, c *client.Client, _ *client.Status, _ *rand.Rand) (what, target string, run, undo func(context.Context) error) {
	return "a backup of the whole state is taken", "", func(ctx context.Context) error {
		b, err := c.Backup(ctx)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, b)
		return errors.Join(err, b.Close())
	}, nothing
}
