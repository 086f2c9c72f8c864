package admin_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

const vipA, vipB = "10.0.0.100/24@eth0", "2001:db8::100/64@eth0"

// threeNodes are n1, which leads and holds, n2 and n3.
func threeNodes() []admin.Member {
	list := make([]admin.Member, 3)
	for i, name := range []string{"n1", "n2", "n3"} {
		list[i] = admin.Member{Name: name, Self: i == 0, Role: "follower", Voter: true, Reachable: true, Ready: true, VIP: &admin.VIPStatus{Addresses: []string{vipA, vipB}, Eligible: true}}
	}
	list[0].Role, list[0].VIP.Holds, list[0].VIP.Connections = "leader", true, 7
	return list
}

func TestTransfer(t *testing.T) {
	r := newRig(t)
	r.node.members = threeNodes()
	r.node.apply(t, &fsm.HolderSet{Node: "n2", Previous: "n1", Term: 4, Gap: 2 * time.Millisecond, Planned: true, SessionsBefore: 3, SessionsAfter: 3, Addresses: []string{vipA}})
	for path, to := range map[string]string{"/v1/nodes/transfer": "", "/v1/nodes/n2/transfer": "n2", "/v1/nodes/n1/transfer": "n1"} {
		got := decode[wire.Transferred](t, post(r.api, "POST", path, ""))
		h := got.Holder
		if got.Leader != "n1" || got.Term != 4 || h == nil || h.Node != "n2" || h.Previous != "n1" || h.GapMillis != 2 || !h.Planned || h.Receipt != r.node.state.Operating().Holder.Receipt() {
			t.Errorf("%s: %+v", path, got)
		}
		if n := len(r.node.transfers); n == 0 || r.node.transfers[n-1] != to {
			t.Errorf("%s: transfers %q", path, r.node.transfers)
		}
	}
	before := len(r.node.transfers)
	p := wantProblem(t, post(r.api, "POST", "/v1/nodes/n9/transfer", ""), 404, wire.CodeNotFound)
	if !strings.Contains(p.Detail, "no node n9; its nodes are n1, n2, n3") {
		t.Error(p.Detail)
	}
	for _, name := range []string{"-n", "a%20b", strings.Repeat("n", 64), "n%0a", "%2e%2e"} {
		if w := post(r.api, "POST", "/v1/nodes/"+name+"/transfer", ""); w.Code != 422 && w.Code != 404 {
			t.Errorf("%s: status %d", name, w.Code)
		}
	}
	r.node.members[1].Reachable, r.node.members[1].Err = false, "connection refused"
	p = wantProblem(t, post(r.api, "POST", "/v1/nodes/n2/transfer", ""), 409, wire.CodeRefused)
	if !strings.Contains(p.Detail, "n2 does not answer (connection refused)") {
		t.Error(p.Detail)
	}
	r.node.apply(t, &fsm.EvacuationSet{Node: "n3"})
	p = wantProblem(t, post(r.api, "POST", "/v1/nodes/n3/transfer", ""), 409, wire.CodeRefused)
	if !strings.Contains(p.Detail, "n3 is evacuated") || !strings.Contains(p.Detail, "--undo") {
		t.Error(p.Detail)
	}
	if len(r.node.transfers) != before {
		t.Errorf("a refused transfer got as far as the node: %q", r.node.transfers)
	}
}

// TestTransferAnswersWithItsOwnReceipt: the group may note the change after the transfer is done. The one before says nothing.
func TestTransferAnswersWithItsOwnReceipt(t *testing.T) {
	r := newRig(t)
	r.node.members = threeNodes()
	r.node.apply(t, &fsm.HolderSet{Node: "n2", Term: 3, Addresses: []string{vipA}})
	if got := decode[wire.Transferred](t, post(r.api, "POST", "/v1/nodes/n1/transfer", "")); got.Leader != "n1" || got.Holder != nil {
		t.Errorf("with an old receipt alone: %+v", got)
	}
	time.AfterFunc(100*time.Millisecond, func() {
		r.node.apply(t, &fsm.HolderSet{Node: "n1", Term: 4, Planned: true, Addresses: []string{vipA}})
	})
	if got := decode[wire.Transferred](t, post(r.api, "POST", "/v1/nodes/n1/transfer", "")); got.Holder == nil || got.Holder.Node != "n1" || got.Holder.Term != 4 {
		t.Errorf("with a late one: %+v", got)
	}
}

// TestTransferFails: the node's own words, no quorum, a time-out and a fault each have their answer.
func TestTransferFails(t *testing.T) {
	for _, tc := range []struct {
		err    error
		status int
		code   string
		detail string
	}{
		{&admin.RefusedError{Words: "node n2 is 5000 entries behind."}, 409, wire.CodeRefused, "Nothing was handed over: node n2 is 5000 entries behind."},
		{admin.ErrNoQuorum, 503, wire.CodeNoQuorum, "nothing was done"},
		{admin.ErrNoRoom, 503, wire.CodeNoRoom, "disks of most nodes are full"},
		{admin.ErrOutcomeUnknown, 504, wire.CodeOutcomeUnknown, "may or may not"},
		{context.DeadlineExceeded, 504, wire.CodeOutcomeUnknown, "may or may not"},
		{admin.ErrClosed, 503, wire.CodeNotReady, "leaving"},
		{errors.New("secret-path"), 500, wire.CodeInternal, "its log says why"},
	} {
		r := newRig(t)
		r.node.members, r.node.transferErr = threeNodes(), tc.err
		p := wantProblem(t, post(r.api, "POST", "/v1/nodes/n2/transfer", ""), tc.status, tc.code)
		if !strings.Contains(p.Detail, tc.detail) {
			t.Errorf("%v: %s", tc.err, p.Detail)
		}
	}
}

func TestEvacuate(t *testing.T) {
	r := newRig(t)
	r.node.members = threeNodes()
	e := decode[wire.Evacuation](t, post(r.api, "POST", "/v1/nodes/n1/evacuate", `{"reason":"new disk"}`))
	if e.Node != "n1" || e.Actor != "local" || e.Reason != "new disk" || !e.Member || !e.Since.Equal(r.node.now) {
		t.Errorf("%+v", e)
	}
	if c := last[*fsm.EvacuationSet](t, r.node); c.Actor != "local" || c.RequestID == (fsm.RequestID{}) {
		t.Errorf("%+v", c)
	}
	for _, body := range []string{`{}`, `{"reason":""}`} { // again, with another reason
		if e := decode[wire.Evacuation](t, post(r.api, "POST", "/v1/nodes/n1/evacuate", body)); e.Reason != "" {
			t.Errorf("%s: %+v", body, e)
		}
	}
	for _, body := range []string{`{"reason":"` + strings.Repeat("r", 600) + `"}`, `{"resaon":"x"}`, `{"reason":1}`, `[]`} {
		wantProblem(t, post(r.api, "POST", "/v1/nodes/n2/evacuate", body), 422, wire.CodeInvalidRequest)
	}
	wantProblem(t, post(r.api, "POST", "/v1/nodes/n9/evacuate", `{}`), 404, wire.CodeNotFound)
	wantProblem(t, post(r.api, "DELETE", "/v1/nodes/n2/evacuate", ""), 404, wire.CodeNotFound)

	// Somebody must be left: a voter that answers and is not evacuated.
	decode[wire.Evacuation](t, post(r.api, "POST", "/v1/nodes/n2/evacuate", `{}`))
	p := wantProblem(t, post(r.api, "POST", "/v1/nodes/n3/evacuate", `{}`), 409, wire.CodeRefused)
	if !strings.Contains(p.Detail, "No other node could take over from node n3") {
		t.Error(p.Detail)
	}
	// The same key gives the first answer, though somebody has taken it back meanwhile.
	key := []string{"Idempotency-Key", "k1"}
	if w := post(r.api, "DELETE", "/v1/nodes/n2/evacuate", "", key...); w.Code != http.StatusNoContent {
		t.Errorf("status %d %s", w.Code, w.Body)
	}
	if c := last[*fsm.EvacuationClear](t, r.node); c.Node != "n2" || c.Actor != "local" {
		t.Errorf("%+v", c)
	}
	if w := post(r.api, "DELETE", "/v1/nodes/n2/evacuate", "", key...); w.Code != http.StatusNoContent {
		t.Errorf("repeated: status %d %s", w.Code, w.Body)
	}
	r.node.members[1].Voter = false
	r.node.members[2].Reachable = false
	decode[wire.Evacuation](t, post(r.api, "POST", "/v1/nodes/n1/evacuate", `{"reason":"it is evacuated already"}`))
	r.node.apply(t, &fsm.EvacuationClear{Node: "n1"})
	wantProblem(t, post(r.api, "POST", "/v1/nodes/n1/evacuate", `{}`), 409, wire.CodeRefused)
	if w := post(r.api, "DELETE", "/v1/nodes/n-gone/evacuate", ""); w.Code != http.StatusNotFound {
		t.Errorf("status %d", w.Code)
	}
}

// TestHolderInStatus: status, the list of nodes and the problems show who holds, who may not and why.
func TestHolderInStatus(t *testing.T) {
	r := newRig(t)
	r.node.members = threeNodes()
	if s := decode[wire.Status](t, read(r.api, "/v1/status")); s.Holder != nil || s.Evacuated == nil || len(s.Evacuated) != 0 {
		t.Errorf("%+v %+v", s.Holder, s.Evacuated)
	}
	r.node.apply(t, &fsm.HolderSet{Node: "n1", Term: 2, Addresses: []string{vipA, vipB}})
	for _, name := range []string{"n0", "n2"} {
		r.node.apply(t, &fsm.EvacuationSet{Node: name, Actor: "ann", Reason: "new disk"})
	}
	s := decode[wire.Status](t, read(r.api, "/v1/status"))
	l := decode[wire.NodeList](t, read(r.api, "/v1/nodes"))
	for _, h := range []*wire.Holder{s.Holder, l.Holder} {
		if h == nil || h.Node != "n1" || h.Term != 2 || !slices.Equal(h.Addresses, []string{vipA, vipB}) || !h.Since.Equal(r.node.now) || h.Receipt == "" || h.Index == 0 {
			t.Errorf("%+v", h)
		}
	}
	for _, list := range [][]wire.Evacuation{s.Evacuated, l.Evacuated} {
		if len(list) != 2 || list[0].Node != "n0" || list[0].Member || list[1].Node != "n2" || !list[1].Member || list[1].Actor != "ann" || list[1].Reason != "new disk" {
			t.Errorf("%+v", list)
		}
	}
	for _, nodes := range [][]wire.Node{s.Nodes, l.Nodes} {
		if v := nodes[0].VIP; v == nil || !v.Holds || v.Connections != 7 || nodes[0].Evacuated != nil || nodes[1].Evacuated == nil || nodes[2].VIP == nil || nodes[2].VIP.Holds {
			t.Errorf("%+v", nodes)
		}
	}
	wantProblems(t, s, "node n0, which is no member of the group now, is evacuated since ", "node n2 is evacuated since ", "by ann", "holdfast node evacuate n2 --undo")
	wantNoProblem(t, s, "virtual address:", "--vip")
}

func wantProblems(t *testing.T, s wire.Status, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(strings.Join(s.Problems, "\n"), text) {
			t.Errorf("the problems do not say %q: %q", text, s.Problems)
		}
	}
}

func wantNoProblem(t *testing.T, s wire.Status, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(strings.Join(s.Problems, "\n"), text) {
			t.Errorf("the problems say %q: %q", text, s.Problems)
		}
	}
}

func TestHolderProblems(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(m []admin.Member)
		want   string // empty: nothing about addresses
	}{
		"well":      {func([]admin.Member) {}, ""},
		"no VIP":    {func(m []admin.Member) { m[0].VIP, m[1].VIP, m[2].VIP = nil, nil, nil }, ""},
		"no holder": {func(m []admin.Member) { m[0].VIP.Holds = false }, "no node that answers holds the virtual address: clients cannot reach it"},
		"no holder, and why": {func(m []admin.Member) {
			*m[0].VIP = admin.VIPStatus{Addresses: m[0].VIP.Addresses, Reason: "link eth0 is down"}
			m[1].VIP.Eligible = false
		}, "clients cannot reach it (n1: link eth0 is down; n2: not eligible)"},
		"holder does not answer": {func(m []admin.Member) { m[0].Reachable = false }, "no node that answers holds the virtual address"},
		"two holders":            {func(m []admin.Member) { m[2].VIP.Holds = true }, "nodes n1 and n3 all say that they hold the virtual address"},
		"conflict":               {func(m []admin.Member) { m[0].VIP.Conflict = "02:00:00:00:00:01 claims 10.0.0.100" }, "node n1 sees somebody else with a virtual address: 02:00:00:00:00:01 claims 10.0.0.100"},
		"different lists":        {func(m []admin.Member) { m[1].VIP.Addresses = []string{vipA} }, "nodes were started with different virtual addresses: n1 10.0.0.100/24@eth0,2001:db8::100/64@eth0; n2 10.0.0.100/24@eth0; n3"},
		"another order":          {func(m []admin.Member) { m[1].VIP.Addresses = []string{vipB, vipA} }, ""},
		"another interface":      {func(m []admin.Member) { m[1].VIP.Addresses = []string{"10.0.0.100/24@ens3", "2001:db8::100/64@ens3"} }, ""},
		"another prefix":         {func(m []admin.Member) { m[1].VIP.Addresses = []string{"10.0.0.100/25@eth0", vipB} }, "different virtual addresses"},
		"one without":            {func(m []admin.Member) { m[2].VIP = nil }, "node n3 was started without --vip, so it cannot hold the virtual address"},
		"one without, read-only": {func(m []admin.Member) { m[2].VIP, m[2].ReadOnly = nil, true }, ""},
		"where nobody looks": {func(m []admin.Member) {
			m[1].VIP.Warnings = []string{"10.0.0.100/24@lo is to be held on a loopback interface"}
		}, "node n2: virtual address 10.0.0.100/24@lo is to be held on a loopback interface"},
		"only programs, and all have failed": {func(m []admin.Member) {
			for i := range m {
				m[i].VIP = &admin.VIPStatus{Reason: "the hook has failed: exit status 1"}
			}
			m[2].Reachable, m[1].VIP.Reason = false, ""
		}, "no node that answers has the virtual address by its --vip-hook: clients may not reach it (n1: the hook has failed: exit status 1; n2: not eligible)"},
		"only programs, one has failed": {func(m []admin.Member) {
			m[0].VIP, m[1].VIP = &admin.VIPStatus{Reason: "the hook has failed: exit status 1"}, &admin.VIPStatus{Holds: true, Eligible: true}
			m[2].VIP = &admin.VIPStatus{Eligible: true}
		}, ""},
		"only programs, one has failed, one has yet to begin": {func(m []admin.Member) {
			for i := range m {
				m[i].VIP = &admin.VIPStatus{Reason: "the hook has failed: exit status 1"}
			}
			m[1].VIP = &admin.VIPStatus{Eligible: true}
		}, ""},
		"only programs, nobody has begun": {func(m []admin.Member) {
			for i := range m {
				m[i].VIP = &admin.VIPStatus{Eligible: true}
			}
		}, ""},
		"one without is silent": {func(m []admin.Member) { m[2].VIP, m[2].Reachable = nil, false }, ""},
		"all are silent": {func(m []admin.Member) {
			for i := range m {
				m[i].Reachable = false
			}
		}, ""},
	} {
		r := newRig(t)
		r.node.members = threeNodes()
		tc.change(r.node.members)
		s := decode[wire.Status](t, read(r.api, "/v1/status"))
		if tc.want == "" {
			wantNoProblem(t, s, "virtual address", "--vip")
			continue
		}
		t.Run(name, func(t *testing.T) { wantProblems(t, s, tc.want) })
	}
}
