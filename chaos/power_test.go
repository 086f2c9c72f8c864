//go:build fuse

package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/load"
	"github.com/holdfast-lb/holdfast/chaos/stage"
	"github.com/holdfast-lb/holdfast/internal/ext4"
)

// TestNodesLosePower: each node has an ext4 of its own. Under load the power of one goes off, and in every fourth round that of all three at once: what was not synced is gone, the
// process is killed, the file system is mounted again, the node starts. After 200 power cuts every acknowledged assignment is there, and no start was refused.
func TestNodesLosePower(t *testing.T) {
	const cuts = 200
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	disks := map[string]*ext4.Disk{}
	s := set(t, ctx, program, stage.Options{Mount: func(dir, node string) (stage.Disk, error) {
		d, err := ext4.New(dir, node+"-disk", 512<<20)
		if err != nil {
			return stage.Disk{}, err
		}
		disks[node] = d
		return stage.Disk{Path: d.Mount, Heal: func() {}, Close: d.Detach}, nil
	}})
	l := crowd(t, ctx, s, 61, 300)
	random := rand.New(rand.NewPCG(61, 0))
	done := 0
	underLoadOf(t, ctx, l, 50, func() {
		for round := 1; done < cuts; round++ {
			order := random.Perm(len(s.Group.Nodes))
			if round%4 != 0 {
				order = order[:1]
			}
			pause(ctx, time.Duration(random.IntN(300))*time.Millisecond) // the cut comes anywhere in what the node does
			began, over := time.Now(), l.Ledger.Doubt()                  // a node that is left alone decides for its clients only, and says so
			err := cutPower(ctx, s.Group, disks, order)
			over()
			if err != nil {
				t.Errorf("round %d, nodes %v: %v", round, order, err)
				return
			}
			done += len(order)
			if round%20 == 0 {
				t.Logf("round %d: %d cuts so far, %d sessions; nodes %v were back after %s", round, done, l.Ledger.Len(), order, time.Since(began).Round(time.Millisecond))
			}
		}
	})
	if _, err := settled(ctx, s.Group, l.Ledger); err != nil {
		t.Fatal(err)
	}
	provisional, err := s.Group.KeysEach(ctx, l.Ledger, l.Sessions(), func(s *load.Session) { l.Ledger.Provisional(s.Entry) })
	if err != nil {
		t.Fatal(err)
	}
	kept, err := tables(ctx, s.Group, l.Ledger, provisional)
	if err != nil {
		t.Fatal(err)
	}
	comeBack(t, ctx, s, l)
	verdict(t, l)
	t.Logf("%d power cuts; %d of %d sessions are as their clients were told, %d of them provisional", done, kept, l.Ledger.Len(), provisional)
	if provisional > l.Ledger.Len()/10 {
		t.Error("most sessions were never acknowledged: nothing is shown")
	}
}

// cutPower takes the power from the disks of nodes, kills their processes, and has them start again on what is there.
func cutPower(ctx context.Context, g *group.Group, disks map[string]*ext4.Disk, order []int) error {
	for _, i := range order {
		if err := disks[g.Nodes[i].Name].PowerOff(); err != nil {
			return err
		}
	}
	for _, i := range order {
		g.Nodes[i].Kill()
	}
	for _, i := range order {
		n := g.Nodes[i]
		d := disks[n.Name]
		if err := errors.Join(d.Detach(), d.Attach(), n.Start()); err != nil {
			return fmt.Errorf("node %s: %w", n.Name, err)
		}
	}
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := g.Ready(limited); err != nil {
		return fmt.Errorf("not all are ready again: %w", err)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
