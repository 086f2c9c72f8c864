package admin_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

func TestStatusShowsEverything(t *testing.T) {
	r := newRig(t)
	decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"0"`, "", okConfig))
	id1, _ := r.node.state.InstanceID("cluster1", "instance1")
	id2, _ := r.node.state.InstanceID("cluster1", "instance2")
	r.node.sessions(t,
		fsm.SessionOp{Kind: fsm.OpAssign, Key: fsm.Key{1}, Instance: id1},
		fsm.SessionOp{Kind: fsm.OpAssign, Key: fsm.Key{2}, Instance: id2},
		fsm.SessionOp{Kind: fsm.OpAssign, Key: fsm.Key{3}, Instance: id2})
	applied, digest := r.node.state.DigestAt()
	say := func(name, health string, flight int64) admin.InstanceStatus {
		return admin.InstanceStatus{Cluster: "cluster1", Instance: name, Up: health != "down", Partial: health == "partial", Reason: "connection refused", InFlight: flight}
	}
	r.node.health = []admin.InstanceStatus{say("instance1", "up", 2), say("instance2", "down", 0)}
	r.node.members = []admin.Member{
		{Name: "n3", Role: "", Reachable: false, Err: "connection refused"},
		{Name: "n2", Role: "follower", Voter: true, Reachable: true, Ready: true, Applied: applied - 1, ClockSkew: -700 * time.Millisecond,
			Instances: []admin.InstanceStatus{say("instance1", "partial", 1), say("instance2", "down", 0)}},
		{Name: "n1", Self: true, Role: "leader", Voter: true, Reachable: true, Ready: true, Applied: applied, Digest: digest},
	}
	s := decode[wire.Status](t, read(r.api, "/v1/status"))
	if s.Group.Name != "test" || s.Group.Epoch != 1 || s.Revision.Number != 1 || s.Sessions != 3 || s.Leader != "n1" || s.Node != "n1" || s.Consistency != wire.Linearizable {
		t.Errorf("%+v", s)
	}
	if len(s.Nodes) != 3 || s.Nodes[0].Name != "n1" || s.Nodes[0].Lag != 0 || s.Nodes[1].Lag != 1 || s.Nodes[1].ClockSkewMillis != -700 || s.Nodes[2].Role != "unknown" {
		t.Errorf("nodes %+v", s.Nodes)
	}
	c := s.Clusters[0]
	if c.Sessions != 3 || c.InFlight != 3 || len(c.Instances) != 2 || c.Modules[0].ContextRoot != "/fortune" {
		t.Errorf("cluster %+v", c)
	}
	if i := c.Instances[0]; i.Health != wire.HealthPartial || i.Sessions != 1 || i.InFlight != 3 || i.Admin != "enabled" || len(i.Nodes) != 2 {
		t.Errorf("instance1 %+v", i)
	}
	if i := c.Instances[1]; i.Health != wire.HealthDown || i.Sessions != 2 {
		t.Errorf("instance2 %+v", i)
	}
	all := strings.Join(s.Problems, "\n")
	for _, want := range []string{"node n3 does not answer", "instance2 of cluster cluster1 is down", "instance1 of cluster cluster1 is not available everywhere: n2: connection refused", "clock of node n2"} {
		if !strings.Contains(all, want) {
			t.Errorf("the problems do not say %q:\n%s", want, all)
		}
	}
	if n := decode[wire.NodeList](t, read(r.api, "/v1/nodes")); len(n.Nodes) != 3 {
		t.Errorf("nodes %+v", n)
	}
}

// UCD-23
func TestStatusShowsTheLeadersDuties(t *testing.T) {
	r := newRig(t)
	at := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
	r.node.members = []admin.Member{
		{Name: "n2", Role: "follower", Reachable: true, Ready: true},
		{Name: "n1", Self: true, Role: "leader", Reachable: true, Ready: true, Duties: []admin.DutyStatus{
			{Duty: "shares", Since: at}, // has not run yet
			{Duty: "quiesce", Since: at, Last: at.Add(time.Minute), Runs: 2, Error: "no quorum", Failed: at.Add(time.Minute)},
			{Duty: "events", Since: at, Last: at.Add(time.Minute), Runs: 3, Error: "long ago", Failed: at},
		}},
	}
	s := decode[wire.Status](t, read(r.api, "/v1/status"))
	if len(s.Duties) != 3 {
		t.Fatalf("duties %+v, want 3", s.Duties)
	}
	if d := s.Duties[1]; d.Duty != "quiesce" || d.Node != "n1" || d.Runs != 2 || d.Error != "no quorum" || !d.Failing() || !d.Since.Equal(at) || !d.Last.Equal(at.Add(time.Minute)) {
		t.Errorf("%+v", d)
	}
	if s.Duties[0].Failing() || s.Duties[2].Failing() {
		t.Errorf("fails: %+v", s.Duties)
	}
	all := strings.Join(s.Problems, "\n")
	if !strings.Contains(all, "the duty quiesce of the leader fails on node n1: no quorum; it is tried again") || strings.Contains(all, "duty events") || strings.Contains(all, "duty shares") {
		t.Errorf("problems:\n%s", all)
	}
	r.node.members = nil
	if body := read(r.api, "/v1/status").Body.String(); !strings.Contains(body, `"duties":[]`) {
		t.Errorf("no empty list: %s", body)
	}
}

// TestMixedVersionsAreAProblem: SUN-73. Both the change and the status say it, until the last instance has the version, or sessions keep to theirs.
func TestMixedVersionsAreAProblem(t *testing.T) {
	const cluster = `
clusters:
  - name: c
    failoverSameVersion: %t
    modules: [{contextRoot: /}]
    instances:
      - {name: i1, listeners: ["http://127.0.0.1:9001"], version: "%s"}
      - {name: i2, listeners: ["http://127.0.0.1:9002"], version: "1.0"}
`
	r := newRig(t)
	for i, tc := range []struct {
		same    bool
		version string
		problem bool
	}{{false, "1.0", false}, {false, "2.0", true}, {true, "2.0", false}, {false, "2.0", true}, {false, "1.0", false}} {
		res := decode[wire.ConfigResult](t, put(r.api, "/v1/config", fmt.Sprintf("\"%d\"", i), "", fmt.Sprintf(cluster, tc.same, tc.version)))
		if warned := strings.Contains(strings.Join(res.Warnings, "\n"), `enabled instances of cluster "c" have different versions ("1.0", "2.0")`); warned != tc.problem {
			t.Errorf("%+v: warnings %q", tc, res.Warnings)
		}
		s := decode[wire.Status](t, read(r.api, "/v1/status"))
		if told := strings.Contains(strings.Join(s.Problems, "\n"), "enabled instances of cluster c have versions 1.0, 2.0"); told != tc.problem {
			t.Errorf("%+v: problems %q", tc, s.Problems)
		}
	}
}

// TestEveryNodeServesOneConfiguration: UCD-15. The status has the revision and the state hash of each node; a node that serves another revision is a problem.
func TestEveryNodeServesOneConfiguration(t *testing.T) {
	r := newRig(t)
	decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"0"`, "", okConfig))
	applied, digest := r.node.state.DigestAt()
	node := func(name string, revision uint64) admin.Member {
		return admin.Member{Name: name, Self: name == "n1", Role: "follower", Reachable: true, Ready: true, Applied: applied, Digest: digest, Revision: revision}
	}
	gone := node("n4", 0)
	gone.Reachable, gone.Err = false, "connection refused"
	for revision, told := range map[uint64]bool{0: true, 1: false, 2: true} {
		r.node.members = []admin.Member{node("n1", 1), node("n2", 1), node("n3", revision), gone}
		s := decode[wire.Status](t, read(r.api, "/v1/status"))
		if s.Revision.Number != 1 || s.Nodes[0].Revision != 1 || s.Nodes[2].Revision != revision || s.Nodes[0].Hash == "" || s.Nodes[0].Hash != s.Nodes[2].Hash {
			t.Errorf("%+v", s)
		}
		all := strings.Join(s.Problems, "\n")
		said := "node n3 serves revision 0 of the configuration, node n1 knows of 1"
		if revision == 2 {
			said = "it knows of revision 1 of the configuration, and revision 2 is served by n3"
		}
		if got := strings.Contains(all, said); got != told || strings.Count(all, "of the configuration") > 1 {
			t.Errorf("node n3 serves revision %d: problems %q", revision, s.Problems)
		}
	}
}

// TestStatusBeforeTheGroupIsFounded: an operator looks at a node that waits for the others.
func TestStatusBeforeTheGroupIsFounded(t *testing.T) {
	n := &fakeNode{state: fsm.New()}
	n.view.State = n.state
	n.lost.Store(true)
	api := newAPI(t, n, &syncBuffer{})
	s := decode[wire.Status](t, read(api, "/v1/status"))
	if s.Quorum || s.Group.ID != "" || s.Nodes == nil || s.Clusters == nil || s.Listeners == nil || s.StateHash != wire.HashUnknown {
		t.Errorf("%+v", s)
	}
}

func TestStateHashes(t *testing.T) {
	a, b := fsm.Digest{1}, fsm.Digest{2}
	point := func(index uint64, d fsm.Digest) fsm.CheckpointRecord {
		return fsm.CheckpointRecord{Index: index, Digest: d}
	}
	leader := admin.Member{Name: "n1", Role: "leader", Reachable: true, Ready: true, Applied: 20, Digest: a, Checkpoint: point(10, a)}
	for _, tc := range []struct {
		name  string
		other admin.Member
		want  string
	}{
		{"same index, same digest", admin.Member{Reachable: true, Applied: 20, Digest: a, Checkpoint: point(5, b)}, wire.HashEqual},
		{"same index, other digest", admin.Member{Reachable: true, Applied: 20, Digest: b, Checkpoint: point(10, a)}, wire.HashDiffers},
		{"behind, same checkpoint", admin.Member{Reachable: true, Applied: 15, Digest: b, Checkpoint: point(10, a)}, wire.HashEqual},
		{"behind, other digest at the checkpoint", admin.Member{Reachable: true, Applied: 15, Digest: b, Checkpoint: point(10, b)}, wire.HashDiffers},
		{"behind, older checkpoint", admin.Member{Reachable: true, Applied: 15, Digest: b, Checkpoint: point(5, b)}, wire.HashPending},
		{"no checkpoint", admin.Member{Reachable: true, Applied: 15}, wire.HashPending},
		{"diverged once", admin.Member{Reachable: true, Applied: 20, Digest: a, Checkpoint: point(10, a), Quarantine: &admin.Quarantine{Cause: "diverged", Text: "it has another state"}}, wire.HashDiffers},
		{"another leader differed once", admin.Member{Reachable: true, Applied: 20, Digest: a, Checkpoint: fsm.CheckpointRecord{Index: 10, Digest: a, Diverged: 8}}, wire.HashEqual},
		{"silent", admin.Member{Applied: 20, Digest: a}, wire.HashUnknown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			tc.other.Name, tc.other.Ready = "n2", true
			r.node.members = []admin.Member{leader, tc.other}
			s := decode[wire.Status](t, read(r.api, "/v1/status?consistency=stale"))
			if got := s.Nodes[1].HashState; got != tc.want || s.StateHash != tc.want || s.Nodes[0].HashState != wire.HashEqual {
				t.Errorf("node %s, overall %s, leader %s; want %s", got, s.StateHash, s.Nodes[0].HashState, tc.want)
			}
			if differs := strings.Contains(strings.Join(s.Problems, "\n"), "another state"); differs != (tc.want == wire.HashDiffers) {
				t.Errorf("problems %q", s.Problems)
			}
		})
	}
}

func TestAccessIsLogged(t *testing.T) {
	r := newRig(t)
	token := r.token(wire.RoleOperator, time.Time{})
	serve(r.api, bearer(httptest.NewRequest("GET", "/v1/config?consistency=stale", nil), token))
	send(r.api, "POST", "/v1/sessions/lookup", "application/json", strings.NewReader(`{"cluster":"c","contextRoot":"/x","session":"id-private"}`))
	read(r.api, "/v1/sessions/id-private")
	read(r.api, "/id-private")
	r.node.readyErr = errors.New("starting")
	read(r.api, "/readyz")
	log := r.log.String()
	for _, want := range []string{
		"level=DEBUG msg=\"admin call\" method=GET route=/v1/config actor=\"token " + strings.Split(token, ".")[1] + "\" status=200",
		"level=DEBUG msg=\"admin call\" method=POST route=/v1/sessions/lookup actor=local status=200",
		"level=INFO msg=\"admin call\" method=GET route=/v1/sessions/{key} actor=local status=422",
		"route=unknown actor=local status=404",
		"level=DEBUG msg=\"admin call\" method=GET route=/readyz actor=- status=503",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("no line with %s in\n%s", want, log)
		}
	}
	if strings.Contains(log, "id-private") || strings.Contains(log, token) {
		t.Errorf("the log has a session id or a token:\n%s", log)
	}
}

// TestNodesOfDifferentTimingsAreAProblem: nodes that do not answer, or are of an earlier version, do not say theirs.
func TestNodesOfDifferentTimingsAreAProblem(t *testing.T) {
	r := newRig(t)
	node := func(name, timing string) admin.Member {
		return admin.Member{Name: name, Self: name == "n1", Role: "follower", Reachable: true, Ready: true, Timing: timing}
	}
	for want, members := range map[string][]admin.Member{
		"":               {node("n1", "lan"), node("n2", ""), node("n3", "lan")},
		"n1 lan, n3 wan": {node("n3", "wan"), node("n1", "lan"), node("n2", "")},
	} {
		r.node.members = members
		s := decode[wire.Status](t, read(r.api, "/v1/status"))
		got := strings.Join(s.Problems, "\n")
		if strings.Contains(got, "different timing profiles") != (want != "") || !strings.Contains(got, want) {
			t.Errorf("the problems say %q, want %q", got, want)
		}
		if s.Nodes[0].Timing != "lan" {
			t.Errorf("%+v", s.Nodes[0])
		}
	}
}

// TestNodesOfDifferentVersionsAreAProblem: UCD-01, TIP-29. Nodes that do not answer say nothing about their version.
func TestNodesOfDifferentVersionsAreAProblem(t *testing.T) {
	r := newRig(t)
	node := func(name, version string, schema int) admin.Member {
		return admin.Member{Name: name, Self: name == "n1", Role: "follower", Reachable: version != "gone", Ready: true, Version: version, Schema: schema}
	}
	for name, c := range map[string]struct {
		members       []admin.Member
		version, both string
	}{
		"same":              {[]admin.Member{node("n1", "1.2", 2), node("n3", "1.2", 2)}, "", ""},
		"one is gone":       {[]admin.Member{node("n1", "1.2", 2), node("n3", "gone", 0)}, "", ""},
		"all are gone":      {[]admin.Member{node("n3", "gone", 0)}, "", ""},
		"different":         {[]admin.Member{node("n2", "gone", 0), node("n3", "1.3", 2), node("n1", "1.2", 2)}, "nodes run different versions: n1 1.2, n3 1.3", ""},
		"unknown":           {[]admin.Member{node("n1", "1.2", 2), node("n3", "", 2)}, "nodes run different versions: n1 1.2, n3 unknown", ""},
		"different schemas": {[]admin.Member{node("n1", "1.2", 2), node("n3", "1.2", 1)}, "", "nodes run programs with different schemas of the state: n1 2, n3 1; the group has schema 4, and raises it once all of its nodes know a later one: install the same version on all of them"},
	} {
		r.node.members = c.members
		s := decode[wire.Status](t, read(r.api, "/v1/status"))
		for word, want := range map[string]string{"different versions": c.version, "different schemas": c.both} {
			got := ""
			for _, p := range s.Problems {
				if strings.Contains(p, word) {
					got = p
				}
			}
			if got != want {
				t.Errorf("%s: the problems say %q, want %q", name, got, want)
			}
		}
		if got := decode[wire.NodeList](t, read(r.api, "/v1/nodes")).Nodes[0]; got.Reachable && (got.Schema != 2 || got.Version != "1.2") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestStatusBetweenPrograms: the process from which a new program takes the node over says how the group is as long as the leader tells it, and nothing from memory: its caller could not tell that from the node's own word.
func TestStatusBetweenPrograms(t *testing.T) {
	r := newRig(t)
	r.node.parted.Store(true)
	for _, path := range []string{"/v1/status", "/v1/nodes", "/v1/status?consistency=stale"} {
		if got := read(r.api, path); got.Code != 200 {
			t.Errorf("%s with a leader: %d %s", path, got.Code, got.Body)
		}
	}
	r.node.lost.Store(true)
	for _, path := range []string{"/v1/status", "/v1/nodes", "/v1/status?consistency=stale"} {
		got := read(r.api, path)
		if got.Code != 503 || got.Header().Get("Retry-After") == "" || !strings.Contains(got.Body.String(), "A new program takes this node over") {
			t.Errorf("%s without one: %d %v %s", path, got.Code, got.Header(), got.Body)
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if got := read(r.api, path); got.Code != 200 {
			t.Errorf("%s: %d %s", path, got.Code, got.Body)
		}
	}
}
