package client_test

import (
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

// TestAccessAgainstTheRealAPI: TIP-07f, TIP-07h. It walks through the calls about users, groups of users and roles.
func TestAccessAgainstTheRealAPI(t *testing.T) {
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
	c := connect(t, client.Options{URLs: []string{srv.URL}})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	wantCode := func(err error, code string) {
		t.Helper()
		var p *client.Problem
		if !errors.As(err, &p) || p.Code != code {
			t.Fatalf("got %v, want %s", err, code)
		}
	}
	role, err := c.SetRole(ctx, "reader", client.RoleRequest{Allow: []string{"status:read"}})
	must(err)
	_, err = c.SetRole(ctx, "reader", client.RoleRequest{Allow: []string{"config:read"}, Version: new(uint64)})
	wantCode(err, wire.CodeRefused)
	if is, err := c.Role(ctx, "reader"); err != nil || is.Version != role.Version || is.BuiltIn {
		t.Error(is, err)
	}
	if l, err := c.Roles(ctx); err != nil || len(l.Roles) != 6 || len(l.Permissions) == 0 {
		t.Error(l, err)
	}
	_, err = c.SetUserGroup(ctx, "ops", client.UserGroupRequest{Roles: []string{"reader"}})
	must(err)
	_, err = c.SetUser(ctx, "a@b.example", client.UserRequest{Groups: []string{"ops"}})
	must(err)
	if u, err := c.User(ctx, "a@b.example"); err != nil || len(u.AllRoles) != 1 || u.AllRoles[0] != "reader" {
		t.Error(u, err)
	}
	if g, err := c.UserGroup(ctx, "ops"); err != nil || len(g.Users) != 1 {
		t.Error(g, err)
	}
	tok, err := c.CreateToken(ctx, client.TokenRequest{User: "a@b.example"})
	must(err)
	user := connect(t, client.Options{URLs: []string{srv.URL}, Token: tok.Secret})
	if who, err := user.Whoami(ctx); err != nil || who.User != "a@b.example" || len(who.Permissions) != 1 {
		t.Error(who, err)
	}
	_, err = user.Users(ctx)
	wantCode(err, wire.CodeForbidden)
	wantCode(c.RemoveRole(ctx, "reader"), wire.CodeRefused)
	wantCode(c.RemoveUserGroup(ctx, "ops"), wire.CodeRefused)
	must(c.RemoveUser(ctx, "a@b.example"))
	_, err = user.Whoami(ctx)
	wantCode(err, wire.CodeUnauthorized)
	must(c.RemoveUserGroup(ctx, "ops"))
	must(c.RemoveRole(ctx, "reader"))
	wantCode(c.RemoveRole(ctx, "reader"), wire.CodeNotFound)
	if users, err := c.Users(ctx); err != nil || len(users) != 0 {
		t.Error(users, err)
	}
	if groups, err := c.UserGroups(ctx); err != nil || len(groups) != 0 {
		t.Error(groups, err)
	}
}
