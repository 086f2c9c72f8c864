package fsm

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestNodeRevoke: a node is revoked once and for ever, with one event, whoever says so again; another node of its name is not.
func TestNodeRevoke(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.at(time.Second)
	r.wantCode(r.do(&NodeRevoke{IDs: []string{"n3/0123abcd"}, Proposer: "n1"}), CodeOK, "")
	e := r.lastEvent(EventRevoked)
	if e.Actor != "n3" || e.Node != "n1" || e.Text != "Node n3 (n3/0123abcd) is no node of the group any more: its certificate counts for nothing from now on" {
		t.Errorf("%+v", e)
	}
	first := Revocation{ID: "n3/0123abcd", Since: testStart.Add(time.Second), Index: r.index}
	r.at(time.Minute)
	r.wantCode(r.do(&NodeRevoke{IDs: []string{"n3/0123abcd", "n2/ff", "n3/0123abcd", "n2/ff"}}), CodeOK, "")
	want := []Revocation{{ID: "n2/ff", Since: testStart.Add(time.Minute), Index: r.index}, first}
	o := r.s.Operating()
	if !reflect.DeepEqual(o.Revocations, want) || r.s.LastEvent() != 2 {
		t.Fatalf("%+v, %d events", o.Revocations, r.s.LastEvent())
	}
	for id, revoked := range map[string]bool{"n3/0123abcd": true, "n2/ff": true, "n3/0123abce": false, "n3": false, "": false} {
		if o.Revoked(id) != revoked {
			t.Errorf("%q: revoked is %v", id, !revoked)
		}
	}
	index := o.Index
	r.wantCode(r.do(&NodeRevoke{IDs: []string{"n2/ff"}}), CodeOK, "")
	if r.s.Operating().Index != index {
		t.Error("what is known already counts as a change")
	}
	r.survives()
}

func TestNodeRevokeRefuses(t *testing.T) {
	r := newReplicaUnderTest(t)
	for _, ids := range [][]string{nil, {}, {""}, {"n1"}, {"n1/"}, {"/ff"}, {"n1/FF"}, {"n1/ff/ff"}, {"n 1/ff"}, {"n1/ff", "-/ff"}, {"n1/" + strings.Repeat("f", maxNodeID)}, make([]string, maxRevokedAtOnce+1)} {
		if res := r.do(&NodeRevoke{IDs: ids}); res.Code != CodeInvalid || res.Message == "" {
			t.Errorf("%.80q: %+v", ids, res)
		}
	}
	r.wantCode(r.do(&NodeRevoke{IDs: []string{"n1/ff"}, Proposer: strings.Repeat("x", maxNameBytes+1)}), CodeInvalid, "the proposer")
	if o := r.s.Operating(); len(o.Revocations) != 0 || r.s.LastEvent() != 0 {
		t.Fatalf("%+v", o)
	}
}

// TestNodeRevokeIsBounded: the oldest are forgotten, the newest never.
func TestNodeRevokeIsBounded(t *testing.T) {
	r := newReplicaUnderTest(t)
	id := func(i int) string { return fmt.Sprintf("n%d/%08x", i, i*7919%100003) }
	const all = maxRevocations + 2*maxRevokedAtOnce
	for i := 0; i < all; i += maxRevokedAtOnce {
		c := &NodeRevoke{}
		for j := range maxRevokedAtOnce {
			c.IDs = append(c.IDs, id(i+j))
		}
		r.wantCode(r.do(c), CodeOK, "")
	}
	o := r.s.Operating()
	if len(o.Revocations) != maxRevocations || o.Revoked(id(0)) || o.Revoked(id(2*maxRevokedAtOnce-1)) || !o.Revoked(id(2*maxRevokedAtOnce)) || !o.Revoked(id(all-1)) {
		t.Fatalf("%d are kept", len(o.Revocations))
	}
	r.survives()
}
