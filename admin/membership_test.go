package admin_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

func TestRemoveNode(t *testing.T) {
	r := newRig(t)
	r.node.members = threeNodes()
	got := decode[wire.NodeRemoved](t, post(r.api, "DELETE", "/v1/nodes/n2", ""))
	if got.Node != "n2" || !slices.Equal(got.Voters, []string{"n1", "n3"}) {
		t.Errorf("%+v", got)
	}
	decode[wire.NodeRemoved](t, post(r.api, "DELETE", "/v1/nodes/n3?force=true", ""))
	if want := []string{"n2 false", "n3 true"}; !slices.Equal(r.node.removals, want) {
		t.Errorf("removals %q, want %q", r.node.removals, want)
	}
	p := wantProblem(t, post(r.api, "DELETE", "/v1/nodes/n9", ""), 404, wire.CodeNotFound)
	if !strings.Contains(p.Detail, "no node n9; its nodes are n1, n2, n3") {
		t.Error(p.Detail)
	}
	for _, path := range []string{"/v1/nodes/-n", "/v1/nodes/a%20b", "/v1/nodes/" + strings.Repeat("n", 64), "/v1/nodes/n2?force=perhaps"} {
		if w := post(r.api, "DELETE", path, ""); w.Code != 422 && w.Code != 404 {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
	if len(r.node.removals) != 2 {
		t.Errorf("a refused request got as far as the node: %q", r.node.removals)
	}
}

// TestTheLastNodeIsNotRemoved, and who asks hears how a group is given up.
func TestTheLastNodeIsNotRemoved(t *testing.T) {
	r := newRig(t)
	r.node.members = threeNodes()[:1]
	for _, path := range []string{"/v1/nodes/n1", "/v1/nodes/n1?force=true"} {
		if p := wantProblem(t, post(r.api, "DELETE", path, ""), 409, wire.CodeRefused); !strings.Contains(p.Detail, "stop it and delete its data directory") {
			t.Error(p.Detail)
		}
	}
	if len(r.node.removals) != 0 {
		t.Errorf("it got as far as the node: %q", r.node.removals)
	}
}

func TestResyncNode(t *testing.T) {
	r := newRig(t)
	r.node.members = threeNodes()
	started := time.Date(2026, 3, 1, 1, 0, 0, 0, time.UTC)
	r.node.members[1].Started = started
	got := decode[wire.Resync](t, post(r.api, "POST", "/v1/nodes/n2/resync", ""))
	if got.Node != "n2" || !got.Before.Equal(started) || !got.Voter || got.Index != r.node.state.Applied() {
		t.Errorf("%+v", got)
	}
	r.node.members[2].Reachable, r.node.members[2].Err = false, "connection refused"
	p := wantProblem(t, post(r.api, "POST", "/v1/nodes/n3/resync", ""), 409, wire.CodeRefused)
	if !strings.Contains(p.Detail, "n3 does not answer (connection refused)") {
		t.Error(p.Detail)
	}
	wantProblem(t, post(r.api, "POST", "/v1/nodes/n9/resync", ""), 404, wire.CodeNotFound)
	if !slices.Equal(r.node.resyncs, []string{"n2"}) {
		t.Errorf("resyncs %q", r.node.resyncs)
	}
}

// TestMembershipFails: the node's own words, no quorum, a time-out and a fault each have their answer.
func TestMembershipFails(t *testing.T) {
	for _, tc := range []struct {
		err    error
		status int
		code   string
		detail string
	}{
		{&admin.RefusedError{Words: "without it 1 of 2 would answer."}, 409, wire.CodeRefused, ": without it 1 of 2 would answer."},
		{admin.ErrNoQuorum, 503, wire.CodeNoQuorum, "nothing was done"},
		{admin.ErrOutcomeUnknown, 504, wire.CodeOutcomeUnknown, "may or may not"},
		{context.DeadlineExceeded, 504, wire.CodeOutcomeUnknown, "may or may not"},
		{errors.New("secret-path"), 500, wire.CodeInternal, "its log says why"},
	} {
		for method, path := range map[string]string{"DELETE": "/v1/nodes/n2", "POST": "/v1/nodes/n2/resync"} {
			r := newRig(t)
			r.node.members, r.node.memberErr = threeNodes(), tc.err
			p := wantProblem(t, post(r.api, method, path, ""), tc.status, tc.code)
			if !strings.Contains(p.Detail, tc.detail) {
				t.Errorf("%s %v: %s", method, tc.err, p.Detail)
			}
		}
	}
}
