package server

import (
	"errors"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// TestNodeThatComesBackServesNothingOld: a node that was down while an instance was stopped does not take traffic, nor says that it should, before it knows
// that.
func TestNodeThatComesBackServesNothingOld(t *testing.T) {
	g := startGroup(t, 3)
	g.configure(t, newApp(t, "i1"))
	g.halt(t, 2)
	op := g.servers[0].state.Operating()
	next := op.Config.Clone()
	next.Clusters[0].Instances[0].Enabled = false
	r, err := (adminNode{g.servers[0]}).Propose(t.Context(), &fsm.ConfigChange{
		Expect: op.Revision.Number, Actor: "test", Config: next, Now: []fsm.Subject{{Cluster: "cluster1", Instance: "i1"}}})
	if err != nil || r.Code != fsm.CodeOK {
		t.Fatalf("%+v, %v", r, err)
	}
	g.again(t, 2)
	back := g.servers[2]
	eventually(t, "the node takes traffic", func() error {
		// In this order: what is looked at last may be newer, so that a node which opens too early is seen.
		ready, bound, index := back.ready(), back.balancer.Addr("web"), back.state.Operating().Index
		if (ready == nil || bound != nil) && index < r.Index {
			t.Fatalf("it is open (%v, ready: %v) and knows the group as of index %d, not %d", bound, ready, index, r.Index)
		}
		if bound == nil {
			return errors.New("no listener")
		}
		return ready
	})
}

// TestNodeThatComesBackAloneServesWhatItKnew: without a majority known sessions are to go on, so a node that is alone opens after catchUpPatience.
func TestNodeThatComesBackAloneServesWhatItKnew(t *testing.T) {
	g := startGroup(t, 3)
	g.configure(t, newApp(t, "i1"))
	g.written(t, 0, "ops") // each entry takes the news to the disks that the one before it is committed
	g.written(t, 0, "ops")
	g.halt(t, 1)
	g.halt(t, 2)
	g.halt(t, 0)
	began := time.Now()
	g.again(t, 0)
	eventually(t, "it takes traffic", func() error {
		if g.servers[0].balancer.Addr("web") == nil {
			return errors.New("no listener")
		}
		return g.servers[0].ready()
	})
	if took := time.Since(began); took < catchUpPatience {
		t.Errorf("open after %v: it did not look for the others", took)
	}
	g.again(t, 1) // so that the group can be ended in order
	g.again(t, 2)
}
