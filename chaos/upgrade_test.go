package chaos

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/built"
	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

// nextSchema is a program of the next schema of the state, which has one more command: notes.
var nextSchema = built.With("next", "-tags", "nextschema", "-ldflags", "-X main.version=next")

// replace stops a node in an orderly way and starts it with another program; "" is the group's own.
func replace(t *testing.T, ctx context.Context, s *stage.Stage, n *group.Node, binary string) {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, 45*time.Second)
	defer cancel()
	began := time.Now()
	if err := n.Stop(limited); err != nil {
		t.Error(err)
	}
	n.Program = binary
	if err := n.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Group.Leader(ctx); err != nil {
		t.Error(err)
	}
	t.Logf("node %s runs %q after %s", n.Name, binary, time.Since(began).Round(time.Millisecond))
}

// note has a node put a note into the group's events, which only a program of the next schema can.
func note(t *testing.T, ctx context.Context, n *group.Node, text string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, n.Admin+"/v1/notes", strings.NewReader(fmt.Sprintf(`{"text":%q}`, text)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// schemas waits until every node says that the group has that schema, and its nodes these.
func schemas(t *testing.T, ctx context.Context, s *stage.Stage, inForce int, nodes ...int) {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	poll(t, limited, "schemas", func() error {
		for _, n := range s.Group.Nodes {
			status, err := n.Client.Status(limited)
			if err != nil {
				return err
			}
			var known []int
			for _, member := range status.Nodes {
				known = append(known, member.Schema)
			}
			if got, want := fmt.Sprint(status.Group.Schema, known), fmt.Sprint(inForce, nodes); got != want {
				return fmt.Errorf("node %s: the group and the nodes have schemas %s, want %s; problems %q", n.Name, got, want, status.Problems)
			}
		}
		return nil
	})
}

// TestRollingUpgrade: three nodes are replaced one by one by a program of the next schema, under load. Until the last one is replaced the group keeps its schema, a
// command of the next one is refused, and a node can go back; then the group raises it by itself, the command works, and the program of before is refused.
func TestRollingUpgrade(t *testing.T) { // TIP-29
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	next, err := nextSchema()
	if err != nil {
		t.Fatal(err)
	}
	s := set(t, ctx, program, stage.Options{})
	l := crowd(t, ctx, s, 47, 500)
	nodes := s.Group.Nodes
	underLoad(t, ctx, l, func() {
		schemas(t, ctx, s, 4, 4, 4, 4)
		replace(t, ctx, s, nodes[0], next)
		schemas(t, ctx, s, 4, 5, 4, 4)
		if status, answer := note(t, ctx, nodes[0], "early"); status != http.StatusConflict || !strings.Contains(answer, "needs schema 5 of the state, the group has schema 4") {
			t.Errorf("an early command: %d %s", status, answer)
		}
		replace(t, ctx, s, nodes[0], "")
		schemas(t, ctx, s, 4, 4, 4, 4)
		for _, n := range nodes {
			replace(t, ctx, s, n, next)
		}
		schemas(t, ctx, s, 5, 5, 5, 5)
		if status, answer := note(t, ctx, nodes[1], "all nodes are upgraded"); status != http.StatusNoContent {
			t.Errorf("a command of the next schema: %d %s", status, answer)
		}
		limited, cancel := context.WithTimeout(ctx, 45*time.Second)
		defer cancel()
		if err := nodes[2].Stop(limited); err != nil {
			t.Error(err)
		}
		nodes[2].Program = ""
		if err := nodes[2].Start(); err != nil {
			t.Fatal(err)
		}
		endsRefused(t, limited, nodes[2], "the group has schema 5 of the state, this program knows 4", "never lowered", "install a version with schema 5")
		nodes[2].Program = next
		if err := nodes[2].Restart(ctx); err != nil {
			t.Fatal(err)
		}
		first, err := program()
		if err != nil {
			t.Fatal(err)
		}
		before := filepath.Join(filepath.Dir(next), "holdfast-before")
		place(t, first, before)
		if got, err := nodes[1].Client.UpgradeBinary(ctx, client.BinaryUpgrade{Program: before}); err == nil || !strings.Contains(err.Error(), "knows schema 4 of the state, the group has schema 5, which is never lowered") {
			t.Errorf("the program of before in a node's place: %+v %v", got, err)
		}
	})
	if err := s.Group.Each(func(n *group.Node) error {
		list, err := n.Client.Events(ctx, 0, 1000)
		if err != nil {
			return err
		}
		raised, noted := 0, 0
		for _, e := range list.Events {
			if e.Kind == "schema" {
				raised++
			}
			if e.Kind == "note" && e.Text == "all nodes are upgraded" {
				noted++
			}
		}
		if raised != 1 || noted != 1 {
			return fmt.Errorf("node %s: the schema was raised %d times, the note is there %d times", n.Name, raised, noted)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	holdTables(t, ctx, s, l)
	comeBack(t, ctx, s, l)
	verdict(t, l)
}
