package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

// nodeSays is a status in which node n1 is evacuated.
type nodeSays struct {
	leader   string // of the group
	role     string // of n1; empty: it does not answer
	holds    bool
	open     int    // its connections
	holder   string // as the group has recorded it
	returned bool   // the evacuation is over
	stale    bool
	left     bool // n1 is no member any more
}

func (n nodeSays) answer(w http.ResponseWriter) {
	s := wire.Status{Consistency: wire.Linearizable, Leader: n.leader, Evacuated: []wire.Evacuation{{Node: "n0"}, {Node: "n1"}}}
	if n.stale {
		s.Consistency = wire.Stale
	}
	if n.returned {
		s.Evacuated = s.Evacuated[:1]
	}
	if n.holder != "" {
		s.Holder = &wire.Holder{Node: n.holder}
	}
	n1 := wire.Node{Name: "n1", Role: n.role, Reachable: n.role != ""}
	if n1.Reachable {
		n1.VIP = &wire.VIP{Holds: n.holds, Connections: n.open}
	}
	s.Nodes = []wire.Node{n1, {Name: "n2", Reachable: true, Role: "leader", VIP: &wire.VIP{Holds: true, Connections: 9}}}
	if n.left {
		s.Nodes = s.Nodes[1:]
	}
	json.NewEncoder(w).Encode(s)
}

// TestWaitEvacuated: only when the node neither leads nor holds and its last connection has ended, by an answer of a majority.
func TestWaitEvacuated(t *testing.T) {
	over := nodeSays{leader: "n2", role: "follower", holder: "n2"}
	for name, tc := range map[string]struct {
		says  []func(http.ResponseWriter)
		looks int
		want  client.Evacuating
		err   error
	}{
		"at once": {[]func(http.ResponseWriter){over.answer}, 1, client.Evacuating{Node: "n1"}, nil},
		"step by step": {[]func(http.ResponseWriter){nodeSays{leader: "n1", role: "leader", holds: true, open: 5, holder: "n1"}.answer, nodeSays{leader: "n2", role: "leader", open: 2}.answer,
			nodeSays{leader: "n2", role: "follower", holds: true}.answer, nodeSays{leader: "n2", role: "follower", open: 1}.answer, over.answer}, 5, client.Evacuating{Node: "n1"}, nil},
		"without a quorum": {[]func(http.ResponseWriter){nodeSays{leader: "n2", role: "follower", stale: true}.answer, refuses(503, wire.CodeNoQuorum), over.answer}, 4, client.Evacuating{Node: "n1"}, nil},
		"left the group":   {[]func(http.ResponseWriter){nodeSays{leader: "n2", left: true, holder: "n2"}.answer}, 1, client.Evacuating{Node: "n1"}, nil},
		"taken back":       {[]func(http.ResponseWriter){nodeSays{leader: "n1", role: "leader"}.answer, nodeSays{leader: "n1", role: "leader", returned: true}.answer}, 2, client.Evacuating{Node: "n1", Leads: true}, client.ErrNotEvacuated},
	} {
		t.Run(name, func(t *testing.T) {
			s := &script{statuses: tc.says}
			srv := httptest.NewServer(s)
			defer srv.Close()
			c := connect(t, client.Options{URLs: []string{srv.URL}, Rounds: 2})
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			heard := 0
			got, err := c.WaitEvacuated(ctx, "n1", client.WaitOptions{Every: time.Millisecond, Silence: time.Hour}, func(client.Evacuating) { heard++ })
			if !errors.Is(err, tc.err) || got != tc.want || s.asked < len(tc.says) || heard == 0 {
				t.Errorf("%+v, %v after %d looks, heard %d", got, err, s.asked, heard)
			}
		})
	}
}

// TestWaitEvacuatedSilence: a node that does not answer is waited for as long as it may hold, and then for a while: its connections are not known.
func TestWaitEvacuatedSilence(t *testing.T) {
	srv := httptest.NewServer(&script{statuses: []func(http.ResponseWriter){nodeSays{leader: "n2", holder: "n1"}.answer, nodeSays{leader: "n2", holder: "n2"}.answer}})
	defer srv.Close()
	c := connect(t, client.Options{URLs: []string{srv.URL}})
	begun := time.Now()
	got, err := c.WaitEvacuated(t.Context(), "n1", client.WaitOptions{Every: time.Millisecond, Silence: 50 * time.Millisecond}, nil)
	if err != nil || !got.Silent || got.Holds || time.Since(begun) < 50*time.Millisecond {
		t.Errorf("%+v, %v after %v", got, err, time.Since(begun))
	}
	srv2 := httptest.NewServer(&script{statuses: []func(http.ResponseWriter){nodeSays{leader: "n2", holder: "n1"}.answer}})
	defer srv2.Close()
	c = connect(t, client.Options{URLs: []string{srv2.URL}})
	over := errors.New("over")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	looks := 0
	got, err = c.WaitEvacuated(ctx, "n1", client.WaitOptions{Every: time.Millisecond, Silence: time.Millisecond}, func(client.Evacuating) {
		if looks++; looks == 3 {
			cancel(over)
		}
	})
	if !errors.Is(err, over) || looks != 3 || !got.Holds || got.String() != "node n1 holds the virtual address, does not answer" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestTransferIsNotRepeatedBlindly: to any node it would hand over once more; to one by name it is harmless.
func TestTransferIsNotRepeatedBlindly(t *testing.T) {
	for to, attempts := range map[string]int{"": 1, "n2": 2} {
		asked := 0
		url := node(t, func(w http.ResponseWriter, r *http.Request) {
			asked++
			if want := map[string]string{"": "/v1/nodes/transfer", "n2": "/v1/nodes/n2/transfer"}[to]; r.URL.Path != want || r.Method != http.MethodPost {
				t.Errorf("%s %s", r.Method, r.URL.Path)
			}
			fail(w, http.StatusGatewayTimeout, wire.CodeOutcomeUnknown)
		})
		_, err := connect(t, client.Options{URLs: []string{url}, Rounds: 2}).Transfer(t.Context(), to)
		var p *client.Problem
		if !errors.As(err, &p) || p.Code != wire.CodeOutcomeUnknown || asked != attempts {
			t.Errorf("to %q: %v after %d attempts", to, err, asked)
		}
	}
}
