package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

// TestTokensAreReplicated: who may do what is the same on every node. A token that one node made lets its holder in at another, as far as its role goes,
// also after that node was away; one that was revoked at one node opens no other. (TIP-07e, TIP-07f, TIP-07h)
func TestTokensAreReplicated(t *testing.T) {
	g := startGroup(t, 3)
	at := func(i int, token string) *client.Client {
		c, err := client.New(client.Options{URLs: []string{"http://" + g.servers[i].config.AdminAddr}, Token: token})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	made := map[string]*client.NewToken{}
	for _, role := range []string{wire.RoleViewer, wire.RoleAdmin} {
		token, err := at(0, "").CreateToken(ctx, client.TokenRequest{Role: role, Note: "of n1"})
		if err != nil {
			t.Fatal(err)
		}
		made[role] = token
	}
	viewer, admin := made[wire.RoleViewer], made[wire.RoleAdmin]
	code := func(err error) string {
		var p *client.Problem
		switch {
		case err == nil:
			return ""
		case errors.As(err, &p):
			return p.Code
		}
		return err.Error()
	}
	// A status is answered out of what the node has, so what was made elsewhere may be there a moment later.
	reaches := func(i int, token *client.NewToken, want string) {
		t.Helper()
		eventually(t, fmt.Sprintf("node n%d answers the %s's token with %q", i+1, token.Role, want), func() error {
			if _, err := at(i, token.Secret).Status(ctx, client.Stale()); code(err) != want {
				return fmt.Errorf("it answers %q (%w)", code(err), err)
			}
			return nil
		})
	}
	for i := range 3 {
		reaches(i, viewer, "")
		reaches(i, admin, "")
		if _, err := at(i, viewer.Secret).Tokens(ctx); code(err) != wire.CodeForbidden {
			t.Errorf("node n%d: a viewer lists the tokens: %v", i+1, err)
		}
		if _, err := at(i, viewer.Secret).EditConfig(ctx, client.Edits{}, client.ChangeOptions{}); code(err) != wire.CodeForbidden {
			t.Errorf("node n%d: a viewer changes the configuration: %v", i+1, err)
		}
		list, err := at(i, admin.Secret).Tokens(ctx)
		if err != nil {
			t.Fatal(err)
		}
		roles := ""
		for _, k := range list {
			roles += k.Role + " "
		}
		if !strings.Contains(roles, "viewer") || !strings.Contains(roles, "admin") {
			t.Errorf("node n%d lists tokens of %s", i+1, roles)
		}
	}

	g.restart(t, 2)
	reaches(2, viewer, "")
	if err := at(2, admin.Secret).RevokeToken(ctx, viewer.ID); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		reaches(i, viewer, wire.CodeUnauthorized)
		reaches(i, admin, "")
	}
	g.restart(t, 0)
	reaches(0, viewer, wire.CodeUnauthorized)
	reaches(0, admin, "")
	for _, token := range made {
		if secret := token.Secret[strings.LastIndexByte(token.Secret, '.')+1:]; len(secret) < 40 || g.lines(secret) != 0 {
			t.Errorf("the secret of the %s's token is in a log, or is none", token.Role)
		}
	}
}
