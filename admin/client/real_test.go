package client_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// single is a group of one over a real state.
type single struct {
	state *fsm.State
	mu    sync.Mutex
	index uint64
}

func (n *single) Propose(_ context.Context, c fsm.Command) (fsm.Result, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	entry, err := fsm.Encode(time.Now(), c)
	if err != nil {
		return fsm.Result{}, err
	}
	n.index++
	res, err := n.state.Apply(n.index, entry)
	res.Index = n.index
	return res, err
}
func (n *single) Sync(context.Context) error            { return nil }
func (n *single) WaitAll(context.Context, uint64) error { return nil }
func (n *single) Ready() error                          { return nil }
func (n *single) Instances() []admin.InstanceStatus     { return nil }
func (n *single) Info() admin.Info {
	return admin.Info{Name: "n1", Leader: "n1", Quorum: true}
}
func (n *single) Members(context.Context) []admin.Member {
	return []admin.Member{{Name: "n1", Self: true, Role: "leader", Voter: true, Reachable: true, Ready: true, Applied: n.state.Applied()}}
}
func (n *single) Key(_, _, _, session string) (fsm.Key, error) {
	var k fsm.Key
	copy(k[:], session)
	return k, nil
}
func (n *single) OpenCookie(_, _, _, _ string) (admin.Cookie, error) {
	return admin.Cookie{}, errors.New("forged")
}

// TestAgainstTheRealAPI walks through every call of the client, so that the two sides cannot drift apart.
func TestAgainstTheRealAPI(t *testing.T) {
	ctx := t.Context()
	n := &single{state: fsm.New()}
	if _, err := n.Propose(ctx, &fsm.GroupInit{RequestID: fsm.RequestID{1}, Group: fsm.Group{ID: "0f0e0d0c-0b0a-4908-8706-050403020100", Name: "shop", Epoch: 1, Secret: make([]byte, 32), CACert: []byte{1}, CAKey: []byte{1}}}); err != nil {
		t.Fatal(err)
	}
	api, err := admin.New(admin.Options{Node: n, State: n.state, Sessions: n, Gatherer: prometheus.NewRegistry(), Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		JoinToken: func(id string, _ [32]byte, _ time.Time) (string, error) { return "hfj1." + id, nil }})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(api)
	t.Cleanup(srv.Close)
	c := connect(t, client.Options{URLs: []string{strings.TrimPrefix(srv.URL, "http://")}})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	must(c.Healthy(ctx))
	must(c.Ready(ctx))
	res, err := c.PutConfig(ctx, client.PutConfig{Data: []byte("clusters: [{name: a, instances: [{name: i1, listeners: ['http://127.0.0.1:1']}]}]"), Message: "why", Wait: time.Second})
	must(err)
	if res.Revision != 1 || res.AppliedBy != "all" {
		t.Errorf("%+v", res)
	}
	var p *client.Problem
	_, err = c.PutConfig(ctx, client.PutConfig{Data: []byte("{}"), Expect: 0})
	if !errors.As(err, &p) || p.Code != wire.CodeRevisionConflict || p.Revision == nil || *p.Revision != 1 {
		t.Errorf("got %v", err)
	}
	_, err = c.ValidateConfig(ctx, []byte("clusters: 1\nlisteners: 2"), client.YAML)
	if !errors.As(err, &p) || len(p.Errors) != 2 || p.Errors[1].Line != 2 {
		t.Errorf("got %v", err)
	}
	if v, err := c.ValidateConfig(ctx, []byte(`{}`), client.JSON); err != nil || !v.Valid {
		t.Error(v, err)
	}
	for _, format := range []string{client.YAML, client.JSON} {
		doc, err := c.Config(ctx, format)
		must(err)
		if doc.Revision != 1 || !strings.Contains(string(doc.Data), "i1") {
			t.Errorf("%+v", doc)
		}
	}
	_, err = c.ConfigAt(ctx, 1, client.JSON, client.Stale())
	must(err)
	h, err := c.History(ctx, 5)
	must(err)
	if len(h) != 1 || h[0].Message != "why" {
		t.Errorf("%+v", h)
	}
	s, err := c.Status(ctx)
	must(err)
	if s.Group.Name != "shop" || s.StateHash != wire.HashPending || len(s.Clusters) != 1 {
		t.Errorf("%+v", s)
	}
	nodes, err := c.Nodes(ctx)
	must(err)
	if len(nodes) != 1 {
		t.Errorf("%+v", nodes)
	}

	id, _ := n.state.InstanceID("a", "i1")
	key, _ := n.Key("", "", "", "x")
	n.mu.Lock()
	n.index++
	_, err = n.state.Apply(n.index, fsm.EncodeSessions(time.Now(), []fsm.SessionOp{{Kind: fsm.OpAssign, Key: key, Instance: id}}))
	n.mu.Unlock()
	must(err)
	page, err := c.Sessions(ctx, client.SessionFilter{Cluster: "a", Instance: "i1", Limit: 10})
	must(err)
	if len(page.Sessions) != 1 {
		t.Errorf("%+v", page)
	}
	if one, err := c.Session(ctx, key.String()); err != nil || one.Instance != "i1" {
		t.Error(one, err)
	}
	if l, err := c.LookupSession(ctx, client.Lookup{Cluster: "a", ContextRoot: "/", Session: "x"}); err != nil || !l.Found {
		t.Error(l, err)
	}
	if _, err := c.LookupSession(ctx, client.Lookup{Cluster: "a", ContextRoot: "/", Cookie: "x"}); !errors.As(err, &p) || p.Code != wire.CodeSessionIDNotInCluster {
		t.Errorf("got %v", err)
	}

	tok, err := c.CreateToken(ctx, client.TokenRequest{Role: wire.RoleViewer, Note: "n"})
	must(err)
	viewer := connect(t, client.Options{URLs: []string{srv.URL}, Token: tok.Secret})
	if _, err := viewer.Tokens(ctx); !errors.As(err, &p) || p.Code != wire.CodeForbidden {
		t.Errorf("got %v", err)
	}
	tokens, err := c.Tokens(ctx)
	must(err)
	if len(tokens) != 1 {
		t.Errorf("%+v", tokens)
	}
	must(c.RevokeToken(ctx, tok.ID))
	if err := c.RevokeToken(ctx, tok.ID); !errors.As(err, &p) || p.Code != wire.CodeNotFound {
		t.Errorf("got %v", err)
	}
	_, err = c.Metrics(ctx)
	must(err)
	spec, err := c.OpenAPI(ctx)
	must(err)
	if !strings.Contains(string(spec), `"openapi":"3.1.0"`) {
		t.Errorf("%.200s", spec)
	}
}

// TestOperatingAgainstTheRealAPI walks through the calls that operate clusters.
func TestOperatingAgainstTheRealAPI(t *testing.T) {
	ctx := t.Context()
	n := &single{state: fsm.New()}
	if _, err := n.Propose(ctx, &fsm.GroupInit{RequestID: fsm.RequestID{1}, Group: fsm.Group{ID: "0f0e0d0c-0b0a-4908-8706-050403020100", Name: "shop", Epoch: 1, Secret: make([]byte, 32), CACert: []byte{1}, CAKey: []byte{1}}}); err != nil {
		t.Fatal(err)
	}
	api, err := admin.New(admin.Options{Node: n, State: n.state, Sessions: n, Gatherer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
		JoinToken: func(id string, _ [32]byte, _ time.Time) (string, error) { return "hfj1." + id, nil }})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(api)
	t.Cleanup(srv.Close)
	c := connect(t, client.Options{URLs: []string{srv.URL}})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const shop = "clusters: [{name: a, registration: {allow: true}, instances: [{name: i1, listeners: ['http://127.0.0.1:1']}, {name: i2, listeners: ['http://127.0.0.1:2']}]}]"
	plan, err := c.PlanConfig(ctx, []byte(shop), client.YAML, "")
	must(err)
	if plan.Revision != 0 || plan.ChangeCount == 0 {
		t.Errorf("%+v", plan)
	}
	_, err = c.PutConfig(ctx, client.PutConfig{Data: []byte(shop)})
	must(err)
	disable := []config.Edit{{Op: "disable", Kind: "instance", Cluster: "a", Name: "i1"}}
	plan, err = c.PlanEdits(ctx, client.PlanEdits{Edits: disable})
	must(err)
	res, err := c.EditConfig(ctx, client.Edits{Edits: disable}, client.ChangeOptions{Pinned: true, Expect: 1})
	must(err)
	if len(plan.Effect.Started) != 1 || len(res.Effect.Started) != 1 || plan.Effect.Started[0].Timeout != res.Effect.Started[0].Timeout {
		t.Errorf("planned %+v, done %+v", plan.Effect, res.Effect)
	}
	list, err := c.Quiesces(ctx)
	must(err)
	if len(list) != 1 || list[0].Instance != "i1" || list[0].ID != res.Index {
		t.Fatalf("%+v", list)
	}
	started := list[0].Started
	list, err = c.SetQuiesce(ctx, list[0].ID, client.QuiesceUpdate{Subject: &list[0].Subject, Total: "15m"})
	must(err)
	if len(list) != 1 || list[0].Deadline.Sub(started) != 15*time.Minute { // SUN-66
		t.Errorf("%+v", list)
	}
	res, err = c.CancelQuiesce(ctx, list[0].ID, &list[0].Subject, 0, "")
	must(err)
	if len(res.Effect.Canceled) != 1 {
		t.Errorf("%+v", res.Effect)
	}
	// What has been made once is not made again, whoever asks: the answer was lost, say.
	add := client.Edits{Edits: []config.Edit{{Op: "add", Kind: "cluster", Name: "b"}}}
	first, err := c.EditConfig(ctx, add, client.ChangeOptions{IdempotencyKey: "k"})
	must(err)
	again, err := c.EditConfig(ctx, add, client.ChangeOptions{IdempotencyKey: "k"})
	must(err)
	if again.Revision != first.Revision {
		t.Errorf("first %+v, again %+v", first, again)
	}

	m, err := c.Lock(ctx, client.MaintenanceRequest{Reason: "why", Owner: "alice", Timeout: "1h"})
	must(err)
	var p *client.Problem
	_, err = c.EditConfig(ctx, client.Edits{Edits: disable}, client.ChangeOptions{})
	if !errors.As(err, &p) || p.Code != wire.CodeLocked || p.Lock == nil || p.Lock.Owner != "alice" {
		t.Errorf("got %v", err)
	}
	_, err = c.EditConfig(ctx, client.Edits{Edits: disable, Lock: m.Lock.ID}, client.ChangeOptions{Owner: "alice"})
	must(err)
	if err := c.Unlock(ctx, "bob", false); !errors.As(err, &p) || p.Code != wire.CodeLocked {
		t.Errorf("got %v", err)
	}
	must(c.Unlock(ctx, "", true))
	if m, err := c.Maintenance(ctx); err != nil || m.On {
		t.Error(m, err)
	}

	res, err = c.RollbackConfig(ctx, client.Rollback{Revision: 1}, client.ChangeOptions{At: time.Now().Add(time.Hour)})
	must(err)
	one, err := c.Schedule(ctx, res.Schedule.ID)
	must(err)
	if l, err := c.Schedules(ctx); err != nil || len(l) != 1 || l[0].ID != one.ID {
		t.Error(l, err)
	}
	must(c.DropSchedule(ctx, one.ID))
	_, err = c.RollbackConfig(ctx, client.Rollback{Revision: 1}, client.ChangeOptions{Wait: time.Second})
	must(err)

	beat, err := c.SendHeartbeat(ctx, "a", "self", map[string]any{"listeners": []string{"http://127.0.0.1:9"}})
	must(err)
	if beat.Heartbeat != config.Duration(500*time.Millisecond) || beat.DropAfter != config.Duration(3*time.Second) {
		t.Errorf("%+v", beat)
	}
	s, err := c.Status(ctx)
	must(err)
	if l := s.Clusters[0].Instances; len(l) != 3 || !l[2].Registered || l[2].Name != "self" {
		t.Errorf("%+v", l)
	}
	must(c.Goodbye(ctx, "a", "self"))
	if e, err := c.Endpoints(ctx, "a"); err != nil || len(e.Clusters) != 1 || len(e.Clusters[0].Endpoints) != 0 {
		t.Error(e, err)
	}
}
