package server

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/lb"
	"github.com/holdfast-lb/holdfast/raftnode"
)

// TestAllObey: ?wait=all returns when every node's data plane obeys what was in force at the index, and is ready; otherwise it says who is not.
func TestAllObey(t *testing.T) {
	member := func(name string, d description) raftnode.MemberInfo {
		detail, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		return raftnode.MemberInfo{Name: name, Reachable: true, Info: raftnode.Info{Detail: detail}}
	}
	obeys := member("n1", description{Ready: true, InForce: 7})
	for name, c := range map[string]struct {
		other raftnode.MemberInfo
		want  string // in the error, empty for none
	}{
		"all":         {member("n2", description{Ready: true, InForce: 7}), ""},
		"ahead":       {member("n2", description{Ready: true, InForce: 9}), ""},
		"behind":      {member("n2", description{Ready: true, InForce: 6, Serving: 99}), "node n2 serves what was in force at index 6, not yet that of index 7"},
		"not ready":   {member("n2", description{InForce: 7, Reason: "listener web: port in use"}), "node n2: listener web: port in use"},
		"away":        {raftnode.MemberInfo{Name: "n2", Error: "connection refused"}, "node n2: connection refused"},
		"cannot read": {raftnode.MemberInfo{Name: "n2", Reachable: true, Info: raftnode.Info{Detail: []byte("[")}}, "node n2: its description cannot be read"},
	} {
		err := allObey([]raftnode.MemberInfo{obeys, c.other}, 7)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestWaitSaysWhatWasFound: a question that the end of the wait cuts short is no reason why a node does not serve; the one before says that.
func TestWaitSaysWhatWasFound(t *testing.T) {
	detail, err := json.Marshal(description{InForce: 7, Reason: "listener web: port in use"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	asked := 0
	err = waitObeyed(ctx, func(context.Context) []raftnode.MemberInfo {
		if asked++; asked < 3 {
			return []raftnode.MemberInfo{{Name: "n2", Reachable: true, Info: raftnode.Info{Detail: detail}}}
		}
		cancel()
		return []raftnode.MemberInfo{{Name: "n2", Error: "no word from it in time"}}
	}, 7)
	if err == nil || err.Error() != "node n2: listener web: port in use" || asked != 3 {
		t.Errorf("%v after %d questions", err, asked)
	}
	err = waitObeyed(ctx, func(context.Context) []raftnode.MemberInfo {
		return []raftnode.MemberInfo{{Name: "n2", Error: "no word from it in time"}}
	}, 7)
	if err == nil || err.Error() != "node n2: no word from it in time" {
		t.Errorf("nothing found before: %v", err)
	}
}

// UCD-23: what a node says of the duties that it does as the leader is in the status.
func TestMemberSaysItsDuties(t *testing.T) {
	at := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
	detail, err := json.Marshal(description{Ready: true, Jobs: []job{{Duty: "lock", Since: at, Last: at.Add(1), Runs: 3, Error: "no quorum", Failed: at}}})
	if err != nil {
		t.Fatal(err)
	}
	m := adminNode{&Server{}}.member(raftnode.MemberInfo{Name: "n1", Reachable: true, Info: raftnode.Info{Detail: detail}})
	want := []admin.DutyStatus{{Duty: "lock", Since: at, Last: at.Add(1), Runs: 3, Error: "no quorum", Failed: at}}
	if !reflect.DeepEqual(m.Duties, want) {
		t.Errorf("%+v, want %+v", m.Duties, want)
	}
}

// TestAgentReachesAdmin: what an agent says goes from the data plane, also of another node, to the administration.
func TestAgentReachesAdmin(t *testing.T) {
	says := lb.InstanceStatus{Cluster: "c1", Instance: "i1", Health: "up", Agent: "drain, 50%", Withheld: 1}
	detail, err := json.Marshal(description{Instances: []lb.InstanceStatus{says, {Cluster: "c1", Instance: "i2", Health: "partial"}}})
	if err != nil {
		t.Fatal(err)
	}
	var d description
	if err := json.Unmarshal(detail, &d); err != nil {
		t.Fatal(err)
	}
	got := instances(d.Instances)
	if want := (admin.InstanceStatus{Cluster: "c1", Instance: "i1", Up: true, Agent: "drain, 50%", Withheld: 1}); got[0] != want || got[1].Agent != "" || got[1].Withheld != 0 {
		t.Errorf("%+v, want %+v", got, want)
	}
}
