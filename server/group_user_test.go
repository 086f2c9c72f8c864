package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

// TestUsersAreReplicated: TIP-07f, TIP-07h, TIP-26. Roles, groups of users and users that are made through one node count on every node, and so does what is changed and
// removed through another one.
func TestUsersAreReplicated(t *testing.T) {
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
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := at(0, "").SetRole(ctx, "reader", client.RoleRequest{Allow: []string{"status:read"}})
	must(err)
	_, err = at(1, "").SetUserGroup(ctx, "ops", client.UserGroupRequest{Roles: []string{"reader"}})
	must(err)
	_, err = at(2, "").SetUser(ctx, "alice", client.UserRequest{Groups: []string{"ops"}})
	must(err)
	token, err := at(0, "").CreateToken(ctx, client.TokenRequest{User: "alice"})
	must(err)
	// A status is answered out of what the node has, so what was made elsewhere may be there a moment later.
	everywhere := func(want string) {
		t.Helper()
		for i := range 3 {
			eventually(t, fmt.Sprintf("node n%d answers alice with %q", i+1, want), func() error {
				_, err := at(i, token.Secret).Status(ctx, client.Stale())
				code := ""
				var p *client.Problem
				if errors.As(err, &p) {
					code = p.Code
				} else if err != nil {
					return err
				}
				if code != want {
					return fmt.Errorf("it answers %q", code)
				}
				return nil
			})
		}
	}
	everywhere("")
	_, err = at(1, "").SetRole(ctx, "reader", client.RoleRequest{Allow: []string{"config:read"}})
	must(err)
	everywhere(wire.CodeForbidden)
	_, err = at(2, "").SetUserGroup(ctx, "ops", client.UserGroupRequest{Roles: []string{wire.RoleViewer}})
	must(err)
	everywhere("")
	_, err = at(0, "").SetUser(ctx, "alice", client.UserRequest{Groups: []string{"ops"}, Disabled: true})
	must(err)
	everywhere(wire.CodeUnauthorized)
	_, err = at(1, "").SetUser(ctx, "alice", client.UserRequest{Groups: []string{"ops"}})
	must(err)
	everywhere("")
	must(at(2, "").RemoveUser(ctx, "alice"))
	everywhere(wire.CodeUnauthorized)
	if l, err := at(1, "").Tokens(ctx); err != nil || len(l) != 0 {
		t.Errorf("tokens are left: %+v, %v", l, err)
	}
}

// TestAnIssuerCountsOnEveryNode: TIP-23, TIP-26. It is named through one node, and every node fetches its keys and knows its people; one that is gone changes nothing for them.
func TestAnIssuerCountsOnEveryNode(t *testing.T) {
	g := startGroup(t, 3)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	at := func(i int, token string) *client.Client {
		c, err := client.New(client.Options{URLs: []string{"http://" + g.servers[i].config.AdminAddr}, Token: token, Rounds: 1})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issuer := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "k", Algorithm: "ES256"}}}
	srv := httptest.NewServer(issuer)
	defer srv.Close()
	issuer.SetIssuer(srv.URL)
	if _, err := at(0, "").SetUserGroup(ctx, "ops", client.UserGroupRequest{Roles: []string{wire.RoleViewer}}); err != nil {
		t.Fatal(err)
	}
	if _, err := at(1, "").SetIssuer(ctx, client.IssuerRequest{URL: srv.URL, Audience: "holdfast", UserClaim: "email", Groups: []wire.ClaimedGroup{{Claim: "lb", Group: "ops"}}}); err != nil {
		t.Fatal(err)
	}
	token := oidctest.SignIDToken(key, "k", "ES256", fmt.Sprintf(`{"iss":%q,"aud":"holdfast","sub":"1","email":"alice@example.com","groups":["lb"],"exp":%d}`, srv.URL, time.Now().Add(time.Hour).Unix()))
	known := func() {
		t.Helper()
		for i := range 3 {
			eventually(t, fmt.Sprintf("node n%d knows who it is", i+1), func() error {
				who, err := at(i, token).Whoami(ctx)
				if err == nil && (who.Actor != "oidc user alice@example.com" || len(who.Roles) != 1) {
					err = fmt.Errorf("%+v", who)
				}
				return err
			})
		}
	}
	known()
	srv.Close()
	known()
	if err := at(2, "").RemoveIssuer(ctx); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		eventually(t, fmt.Sprintf("node n%d believes no issuer", i+1), func() error {
			_, err := at(i, token).Whoami(ctx)
			if p := (*client.Problem)(nil); !errors.As(err, &p) || p.Code != wire.CodeUnauthorized {
				return fmt.Errorf("it answers with %w", err)
			}
			return nil
		})
	}
}
