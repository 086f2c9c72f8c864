package client_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

// lists is a status with these nodes, all of which serve.
func lists(names ...string) func(http.ResponseWriter) {
	s := wire.Status{Consistency: wire.Linearizable}
	for _, name := range names {
		s.Nodes = append(s.Nodes, wire.Node{Name: name, Reachable: true, Ready: true, Voter: true, Applied: 9, Started: time.Unix(2, 0)})
	}
	return func(w http.ResponseWriter) { json.NewEncoder(w).Encode(s) }
}

// TestWaitResyncOfTheNodeThatAnswers: a node that drops its state while it is asked names no nodes, and what it says last may be of before it knew them again. That is no removal; two looks without the node are.
func TestWaitResyncOfTheNodeThatAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		statuses []func(http.ResponseWriter)
		removed  bool
	}{
		"drops its state": {[]func(http.ResponseWriter){lists(), lists(), lists("n1", "n2")}, false},
		"one odd look":    {[]func(http.ResponseWriter){lists("n2"), lists(), lists("n2"), lists("n1", "n2")}, false},
		"removed":         {[]func(http.ResponseWriter){lists("n2")}, true},
	} {
		u := node(t, (&script{statuses: c.statuses}).ServeHTTP)
		state, err := connect(t, client.Options{URLs: []string{u}}).WaitResync(t.Context(), &client.Resync{Node: "n1", Index: 9, Voter: true, Before: time.Unix(1, 0)}, client.WaitOptions{Every: time.Millisecond}, nil)
		if errors.Is(err, client.ErrRemoved) != c.removed || state.Done() == c.removed {
			t.Errorf("%s: %+v, %v", name, state, err)
		}
	}
}

// TestWaitResyncOfAnEvacuatedNode: it is not ready, and not to be; the wait ends all the same when it has the state.
func TestWaitResyncOfAnEvacuatedNode(t *testing.T) {
	at := func(applied uint64) func(http.ResponseWriter) {
		s := wire.Status{Consistency: wire.Linearizable, Nodes: []wire.Node{{Name: "n1", Reachable: true, Voter: true, Applied: applied, Started: time.Unix(2, 0), Evacuated: &wire.Evacuation{Node: "n1"}}}}
		return func(w http.ResponseWriter) { json.NewEncoder(w).Encode(s) }
	}
	u := node(t, (&script{statuses: []func(http.ResponseWriter){at(0), at(8), at(9)}}).ServeHTTP)
	looks := 0
	state, err := connect(t, client.Options{URLs: []string{u}}).WaitResync(t.Context(), &client.Resync{Node: "n1", Index: 9, Voter: true, Before: time.Unix(1, 0)}, client.WaitOptions{Every: time.Millisecond}, func(client.Resyncing) { looks++ })
	if err != nil || !state.Done() || looks != 3 || !strings.Contains(state.String(), "it is evacuated, so it gets no traffic before 'holdfast node evacuate n1 --undo'") {
		t.Errorf("%+v after %d looks, %v: %s", state, looks, err, state)
	}
}
