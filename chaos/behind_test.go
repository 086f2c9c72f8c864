package chaos

import (
	"context"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/load"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

// TestANodeThatIsBehindDuringAnElection: a follower missed the newest sessions, then the leader dies, and the election takes
// half a second longer than three election time-outs. Clients of the newest sessions that come to that node must reach their
// instances: their assignments were acknowledged.
func TestANodeThatIsBehindDuringAnElection(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s := set(t, ctx, program, stage.Options{})
	l := crowd(t, ctx, s, 41, 100)
	if _, err := settled(ctx, s.Group, l.Ledger); err != nil {
		t.Fatal(err)
	}
	leading := chooseSurvivor(t, ctx, s, true)
	behind, other := (leading+1)%3, (leading+2)%3
	nodes := s.Group.Nodes
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(nodes[behind].Process().Freeze())
	w := l.Worker()
	defer w.Close()
	var newest []*load.Session
	for i := range 60 {
		session, err := w.Start(ctx, []load.Kind{stage.Insert, stage.Learn, stage.Plain}[i%3], leading)
		check(err)
		newest = append(newest, session)
	}
	check(nodes[other].Process().Freeze())
	nodes[leading].Kill()
	check(nodes[behind].Process().Thaw())
	awaitQuorum(t, ctx, nodes[behind], false)
	thawed := make(chan error, 1)
	time.AfterFunc(500*time.Millisecond, func() { thawed <- nodes[other].Process().Thaw() })
	for _, session := range newest {
		check(w.Visit(ctx, session, behind))
	}
	check(<-thawed)
	check(nodes[leading].Restart(ctx))
	holdTables(t, ctx, s, l)
	comeBack(t, ctx, s, l)
	verdict(t, l)
}
