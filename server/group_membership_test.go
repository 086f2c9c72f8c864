package server

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/raftnode"
)

// leading gives the server that leads, and the others.
func (g *testGroup) leading(tb testing.TB) (leader *Server, others []*Server) {
	tb.Helper()
	eventually(tb, "somebody leads", func() error {
		leader, others = nil, nil
		for _, s := range g.servers {
			if s.node.Info().Role == "leader" {
				leader = s
			} else {
				others = append(others, s)
			}
		}
		if leader == nil {
			return errors.New("no leader")
		}
		return leader.node.Ready()
	})
	return leader, others
}

// TestRemoveTheLeader: asked at another node, the leader hands over, is removed by the next one, and ends with what to do. A refusal has its words.
func TestRemoveTheLeader(t *testing.T) { // UCD-24
	g := startGroup(t, 3)
	leader, others := g.leading(t)
	asker := adminNode{others[0]}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	name := leader.config.Name
	var err error
	eventually(t, "the leader answers", func() error { // it may be another one for a moment
		if err = asker.Remove(ctx, name, false); err != nil && strings.HasPrefix(err.Error(), "no quorum") {
			return err
		}
		return nil
	})
	var words *admin.RefusedError
	if !errors.As(err, &words) || !strings.HasPrefix(words.Words, "without it 2 of the 2 nodes with a vote would answer") {
		t.Fatalf("got %v, want a refusal in its own words", err)
	}
	if err := asker.Remove(ctx, name, true); err != nil {
		t.Fatal(err)
	}
	i := 0
	for i = range g.servers {
		if g.servers[i] == leader {
			break
		}
	}
	select {
	case err := <-g.done[i]:
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "token create") {
			t.Errorf("the removed node ended with %v", err)
		}
		g.done[i] <- nil
	case <-time.After(30 * time.Second):
		t.Fatal("the removed node goes on")
	}
	if leader.ready() == nil {
		t.Error("the removed node is ready")
	}
	if n := len(others[1].node.Members(ctx)); n != 2 {
		t.Errorf("%d members", n)
	}
}

// TestResyncTheLeader: it hands over, gives up its vote and ends with ErrResync; started again it has everything.
func TestResyncTheLeader(t *testing.T) {
	g := startGroup(t, 3)
	leader, others := g.leading(t)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := (adminNode{others[0]}).Resync(ctx, leader.config.Name); err != nil {
		t.Fatal(err)
	}
	i := 0
	for i = range g.servers {
		if g.servers[i] == leader {
			break
		}
	}
	select {
	case err := <-g.done[i]:
		if !errors.Is(err, ErrResync) {
			t.Fatalf("ended with %v", err)
		}
	case <-time.After(60 * time.Second):
		t.Fatal("it goes on")
	}
	if err := leader.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := New(leader.config, outputOf(t))
	if err != nil {
		t.Fatal(err)
	}
	if again.ready() == nil || again.state.Applied() != 0 {
		t.Error("it is ready without a state")
	}
	run, stop := context.WithCancel(context.Background())
	g.servers[i], g.stop[i] = again, stop
	go func() { g.done[i] <- again.Run(run) }()
	eventually(t, "it serves and votes", func() error {
		if !again.node.Info().Voter {
			return errors.New("no vote")
		}
		return errors.Join(again.ready(), again.node.Ready())
	})
	if again.state.Group() == nil || again.node.ID() != leader.node.ID() {
		t.Error("it has no state, or another id")
	}
}

func TestMemberError(t *testing.T) {
	for text, want := range map[string]string{
		"ask node n1: refused: refused: remove node n3: refused: it leads": "it leads",
		"remove node n3: refused: it is no member":                         "it is no member",
	} {
		var words *admin.RefusedError
		if err := memberError("n3", wordsOf{text, raftnode.ErrRefused}); !errors.As(err, &words) || words.Words != want {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
	if err := memberError("n3", errors.Join(raftnode.ErrRefused, raftnode.ErrTimeout)); !errors.Is(err, admin.ErrOutcomeUnknown) {
		t.Errorf("got %v", err)
	}
	if memberError("n3", nil) != nil {
		t.Error("an error for none")
	}
}

// wordsOf is an error with a text of its own.
type wordsOf struct {
	text string
	err  error
}

func (w wordsOf) Error() string { return w.text }
func (w wordsOf) Unwrap() error { return w.err }
