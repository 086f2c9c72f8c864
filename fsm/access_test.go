package fsm

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// userToken is a token of a user.
func userToken(id, user string) Token {
	t := testToken(id, "")
	t.User = user
	return t
}

// want does a command and checks its result; the state survives a snapshot each time.
func (r *replicaUnderTest) want(c Command, code Code, says string) Result {
	r.t.Helper()
	before := r.s.Operating()
	res := r.do(c)
	r.wantCode(res, code, says)
	if code != CodeOK && r.s.Operating() != before {
		r.t.Fatalf("%+v was refused and has changed something", c)
	}
	r.survives()
	return res
}

func (r *replicaUnderTest) access() *Access { return r.s.Operating().access() }

// TestUsersGroupsAndRoles: TIP-07f, TIP-07h. They are set, changed and removed by name, with compare-and-swap, and nothing names what is not there.
func TestUsersGroupsAndRoles(t *testing.T) {
	r := newReplicaUnderTest(t)
	deployer := Role{Name: "deployer", Allow: []string{"status:read", "instances:write@cluster=shop", "status:read"}}
	first := r.want(&RoleSet{Role: deployer, Actor: "me"}, CodeOK, "")
	if got := r.access().Role("deployer"); got == nil || !slices.Equal(got.Allow, []string{"instances:write@cluster=shop", "status:read"}) || got.Version != first.Index || got.Actor != "me" || !got.Time.Equal(r.now) {
		t.Fatalf("%+v", got)
	}
	r.want(&RoleSet{Role: deployer, Actor: "you"}, CodeConflict, "there is a role deployer already")
	r.want(&RoleSet{Role: deployer, Expect: first.Index + 7, Actor: "you"}, CodeConflict, "role deployer has been changed meanwhile, by me")
	r.want(&RoleSet{Role: Role{Name: "other"}, Expect: 3}, CodeConflict, "there is no role other any more")
	r.want(&RoleSet{Role: Role{Name: "other"}, Remove: true}, CodeAbsent, "there is no role other")
	for _, name := range []string{RoleViewer, RoleOperator, RoleAdmin, RoleNode} {
		r.want(&RoleSet{Role: Role{Name: name, Allow: []string{"a:b"}}}, CodeInvalid, "is built in and cannot be changed")
	}
	r.want(&UserGroupSet{Group: UserGroup{Name: "ops", Roles: []string{"none"}}}, CodeInvalid, "there is no role none, which group ops is to have")
	r.want(&UserGroupSet{Group: UserGroup{Name: "ops", Roles: []string{RoleNode}}}, CodeInvalid, "for join tokens only")
	ops := r.want(&UserGroupSet{Group: UserGroup{Name: "ops", Roles: []string{"deployer", RoleViewer}}, Actor: "me"}, CodeOK, "")
	r.want(&UserSet{User: User{Name: "alice", Groups: []string{"none"}}}, CodeInvalid, "there is no group none, which user alice is to be in")
	r.want(&UserSet{User: User{Name: "alice", Roles: []string{"none"}}}, CodeInvalid, "there is no role none, which user alice is to have")
	alice := r.want(&UserSet{User: User{Name: "alice", Groups: []string{"ops"}, Roles: []string{RoleOperator}}, Actor: "me"}, CodeOK, "")
	if got := r.access().RolesOf(r.access().User("alice")); !slices.Equal(got, []string{"deployer", RoleOperator, RoleViewer}) {
		t.Fatalf("alice has %q", got)
	}
	r.want(&RoleSet{Role: deployer, Expect: first.Index, Remove: true}, CodeConflict, "role deployer is in use by group ops: take it from them first")
	r.want(&UserGroupSet{Group: UserGroup{Name: "ops"}, Expect: ops.Index, Remove: true}, CodeConflict, "group ops is in use by user alice: change that first")
	// A change of the group is one of its users.
	ops = r.want(&UserGroupSet{Group: UserGroup{Name: "ops", Roles: []string{RoleViewer}}, Expect: ops.Index}, CodeOK, "")
	alice = r.want(&UserSet{User: User{Name: "alice", Groups: []string{"ops"}}, Expect: alice.Index}, CodeOK, "")
	if got := r.access().RolesOf(r.access().User("alice")); !slices.Equal(got, []string{RoleViewer}) {
		t.Fatalf("alice has %q", got)
	}
	r.want(&TokenPut{Token: testToken("c", "deployer"), Actor: "me"}, CodeOK, "")
	r.want(&RoleSet{Role: deployer, Expect: first.Index, Remove: true}, CodeConflict, "role deployer is in use by token c")
	r.want(&TokenDrop{ID: "c"}, CodeOK, "")
	r.want(&RoleSet{Role: deployer, Expect: first.Index, Remove: true, Actor: "me"}, CodeOK, "")
	r.want(&UserSet{User: User{Name: "alice", Groups: []string{"ops"}, Disabled: true}, Expect: alice.Index, Actor: "me"}, CodeOK, "")
	if got := r.access().RolesOf(r.access().User("alice")); len(got) != 0 {
		t.Fatalf("alice is disabled and has %q", got)
	}
	r.want(&UserSet{User: User{Name: "alice"}, Expect: r.access().User("alice").Version, Remove: true, Actor: "me"}, CodeOK, "")
	r.want(&UserGroupSet{Group: UserGroup{Name: "ops"}, Expect: ops.Index, Remove: true, Actor: "me"}, CodeOK, "")
	if r.s.Operating().Access != nil {
		t.Errorf("something is left: %+v", r.s.Operating().Access)
	}
	var texts []string
	for _, e := range r.eventsOf(EventAccess) {
		if e.Actor == "me" {
			texts = append(texts, e.Text)
		}
	}
	want := "Role deployer set: instances:write@cluster=shop, status:read by me; Group of users ops set: roles deployer, viewer by me; User alice set: roles operator; groups ops by me; " +
		"Token c made by me: role deployer; Role deployer removed by me; User alice set: disabled by me; User alice removed, with 0 tokens by me; Group of users ops removed by me"
	if got := strings.Join(texts, "; "); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// TestTokensOfUsers: a token belongs to a user that is there, has no role of its own, and goes with the user.
func TestTokensOfUsers(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.want(&TokenPut{Token: userToken("a", "alice")}, CodeInvalid, "there is no user alice")
	r.want(&TokenPut{Token: testToken("a", "nobody")}, CodeInvalid, "there is no role nobody")
	r.want(&UserSet{User: User{Name: "alice", Roles: []string{RoleViewer}}}, CodeOK, "")
	both := userToken("a", "alice")
	both.Role = RoleAdmin
	r.want(&TokenPut{Token: both}, CodeInvalid, "a token of a user has no role of its own")
	r.want(&TokenPut{Token: userToken("a", "alice"), Actor: "me"}, CodeOK, "")
	r.want(&TokenPut{Token: userToken("b", "alice")}, CodeOK, "")
	r.want(&TokenPut{Token: testToken("c", RoleViewer)}, CodeOK, "")
	r.want(&TokenUse{ID: "a", UsedBy: []byte("k")}, CodeInvalid, "not a join token")
	r.want(&UserSet{User: User{Name: "alice"}, Expect: r.access().User("alice").Version, Remove: true, Actor: "me"}, CodeOK, "")
	if ts := r.s.Tokens(); len(ts) != 1 || ts[0].ID != "c" {
		t.Errorf("%+v is left", ts)
	}
	events := r.eventsOf(EventAccess)
	if last := events[len(events)-1]; last.Text != "User alice removed, with 2 tokens by me" {
		t.Errorf("%+v", last)
	}
}

// TestTheLastAdminAccessStays: whatever would leave nobody who may manage access is refused, whichever way it would go.
func TestTheLastAdminAccessStays(t *testing.T) {
	const says = "that would take the last admin access away"
	group := func(roles ...string) *UserGroupSet {
		return &UserGroupSet{Group: UserGroup{Name: "admins", Roles: roles}}
	}
	for name, tc := range map[string]struct {
		prepare []Command
		change  func(a *Access) Command
	}{
		"user removed": {[]Command{&UserSet{User: User{Name: "root", Roles: []string{RoleAdmin}}}}, func(a *Access) Command {
			return &UserSet{User: User{Name: "root"}, Expect: a.User("root").Version, Remove: true}
		}},
		"user disabled": {[]Command{&UserSet{User: User{Name: "root", Roles: []string{RoleAdmin}}}}, func(a *Access) Command {
			return &UserSet{User: User{Name: "root", Roles: []string{RoleAdmin}, Disabled: true}, Expect: a.User("root").Version}
		}},
		"user loses the role": {[]Command{&UserSet{User: User{Name: "root", Roles: []string{RoleAdmin}}}}, func(a *Access) Command {
			return &UserSet{User: User{Name: "root", Roles: []string{RoleOperator}}, Expect: a.User("root").Version}
		}},
		"user leaves the group": {[]Command{group(RoleAdmin), &UserSet{User: User{Name: "root", Groups: []string{"admins"}}}}, func(a *Access) Command {
			return &UserSet{User: User{Name: "root"}, Expect: a.User("root").Version}
		}},
		"group loses the role": {[]Command{group(RoleAdmin), &UserSet{User: User{Name: "root", Groups: []string{"admins"}}}}, func(a *Access) Command {
			c := group(RoleViewer)
			c.Expect = a.UserGroup("admins").Version
			return c
		}},
		"role loses the permission": {[]Command{&RoleSet{Role: Role{Name: "boss", Allow: []string{PermissionAccess}}}, &UserSet{User: User{Name: "root", Roles: []string{"boss"}}}}, func(a *Access) Command {
			return &RoleSet{Role: Role{Name: "boss", Allow: []string{"status:read"}}, Expect: a.Role("boss").Version}
		}},
		"token revoked": {[]Command{&UserSet{User: User{Name: "root", Roles: []string{RoleAdmin}}}}, func(*Access) Command { return &TokenDrop{ID: "t"} }},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReplicaUnderTest(t)
			for _, c := range tc.prepare {
				r.want(c, CodeOK, "")
			}
			if r.s.AdminAccess() {
				t.Fatal("there is admin access without a token")
			}
			r.want(&TokenPut{Token: userToken("t", "root")}, CodeOK, "")
			if !r.s.AdminAccess() {
				t.Fatal("there is no admin access")
			}
			expired := testToken("old", RoleAdmin)
			expired.Expires = r.now.Add(time.Second)
			r.want(&TokenPut{Token: expired}, CodeOK, "")
			r.now = r.now.Add(time.Minute)
			r.want(tc.change(r.access()), CodeConflict, says)
			r.want(&TokenPut{Token: testToken("u", RoleAdmin)}, CodeOK, "")
			r.want(tc.change(r.access()), CodeOK, "")
			if !r.s.AdminAccess() {
				t.Error("there is no admin access any more")
			}
		})
	}
	t.Run("without users as before", func(t *testing.T) {
		r := newReplicaUnderTest(t)
		r.want(&TokenPut{Token: testToken("u", RoleAdmin)}, CodeOK, "")
		r.want(&TokenDrop{ID: "u"}, CodeOK, "")
	})
}

// TestIssuer: TIP-26. There is one issuer for the whole group; its groups are there as long as it names them.
func TestIssuer(t *testing.T) {
	r := newReplicaUnderTest(t)
	is := Issuer{URL: "https://login.example", Audience: "holdfast", UserClaim: "email", GroupsClaim: "groups", Groups: []ClaimedGroup{{"lb-ops", "ops"}, {"lb-all", "ops"}}}
	r.want(&IssuerSet{Issuer: is}, CodeInvalid, "there is no group ops, which claim lb-all of the issuer is to stand for")
	ops := r.want(&UserGroupSet{Group: UserGroup{Name: "ops"}}, CodeOK, "")
	r.want(&IssuerSet{Remove: true}, CodeAbsent, "there is no issuer")
	first := r.want(&IssuerSet{Issuer: is, Actor: "me"}, CodeOK, "")
	if got := r.access().Issuer; got.Version != first.Index || got.Groups[0].Claim != "lb-all" {
		t.Fatalf("%+v", got)
	}
	r.want(&IssuerSet{Issuer: is}, CodeConflict, "the issuer has been changed meanwhile")
	r.want(&UserGroupSet{Group: UserGroup{Name: "ops"}, Expect: ops.Index, Remove: true}, CodeConflict, "group ops is in use by the issuer")
	for what, change := range map[string]func(*Issuer){
		"no address":  func(x *Issuer) { x.URL = "" },
		"no audience": func(x *Issuer) { x.Audience = "" },
		"no user":     func(x *Issuer) { x.UserClaim = "" },
		"no groups":   func(x *Issuer) { x.GroupsClaim = "" },
		"twice":       func(x *Issuer) { x.Groups = []ClaimedGroup{{"a", "ops"}, {"a", "ops"}} },
		"bad group":   func(x *Issuer) { x.Groups = []ClaimedGroup{{"a", "-"}} },
		"large PEM":   func(x *Issuer) { x.Authorities = strings.Repeat("x", maxAuthorities+1) },
		"many":        func(x *Issuer) { x.Groups = make([]ClaimedGroup, maxClaims+1) },
	} {
		bad := is
		change(&bad)
		if res := r.do(&IssuerSet{Issuer: bad, Expect: first.Index}); res.Code != CodeInvalid {
			t.Errorf("%s: %+v", what, res)
		}
	}
	r.want(&IssuerSet{Remove: true, Expect: first.Index, Actor: "me"}, CodeOK, "")
	r.want(&UserGroupSet{Group: UserGroup{Name: "ops"}, Expect: ops.Index, Remove: true}, CodeOK, "")
}

// TestHostileAccess: nothing lets the state grow without limit, and what is refused changes nothing.
func TestHostileAccess(t *testing.T) {
	r := newReplicaUnderTest(t)
	for _, name := range []string{"", " ", "a b", "-x", ".x", "@x", "ü", "a\x00", "../x", "a:b", strings.Repeat("x", maxAccessName+1)} {
		for _, c := range []Command{&RoleSet{Role: Role{Name: name}}, &UserGroupSet{Group: UserGroup{Name: name}}, &UserSet{User: User{Name: name}},
			&UserSet{User: User{Name: "a", Groups: []string{name}}}, &UserSet{User: User{Name: "a", Roles: []string{name}}}} {
			if res := r.do(c); res.Code != CodeInvalid {
				t.Errorf("%T of name %q: %+v", c, name, res)
			}
		}
	}
	many := make([]string, maxPermissions+1)
	for i := range many {
		many[i] = fmt.Sprint("p", i)
	}
	long := strings.Repeat("x", maxNameBytes+1)
	for what, c := range map[string]Command{
		"permissions":      &RoleSet{Role: Role{Name: "a", Allow: many}},
		"empty permission": &RoleSet{Role: Role{Name: "a", Allow: []string{""}}},
		"long permission":  &RoleSet{Role: Role{Name: "a", Allow: []string{long}}},
		"note":             &RoleSet{Role: Role{Name: "a", Note: strings.Repeat("x", maxTextBytes+1)}},
		"actor":            &RoleSet{Role: Role{Name: "a"}, Actor: long},
		"groups":           &UserSet{User: User{Name: "a", Groups: many}},
		"roles":            &UserGroupSet{Group: UserGroup{Name: "a", Roles: many}},
		"issuer's actor":   &IssuerSet{Remove: true, Actor: long},
	} {
		if res := r.do(c); res.Code != CodeInvalid {
			t.Errorf("%s: %+v", what, res)
		}
	}
	if r.s.Operating().Access != nil || len(r.s.Events(0, 1)) != 0 {
		t.Error("something was kept")
	}
	for i := range maxRoles {
		r.do(&RoleSet{Role: Role{Name: fmt.Sprint("r", i)}})
	}
	r.want(&RoleSet{Role: Role{Name: "more"}}, CodeInvalid, "there are 200 of them, the most that a group keeps")
}

// TestRestoreKeepsAccess: what an archive says of users is not put in force: whoever was removed since stays out.
func TestRestoreKeepsAccess(t *testing.T) {
	r := everything(t)
	r.do(&LockClear{Actor: "me"})
	r.do(&WorkflowSet{Expect: r.s.Operating().Workflows[0].Version, Workflow: Workflow{ID: "w1", Kind: "upgrade", State: "done"}})
	content := snapshotBytes(t, r.s)
	is := r.access().User("alice")
	if is == nil {
		t.Fatal("no user in a state that has everything")
	}
	r.do(announced(t, "r0", content))
	r.want(&UserSet{User: User{Name: "alice"}, Expect: is.Version, Remove: true}, CodeOK, "")
	r.parts("r0", content, 0, len(content))
	if res := r.do(commitOf("r0", content)); res.Code != CodeOK {
		t.Fatalf("%+v", res)
	}
	if r.access().User("alice") != nil || r.access().Role("deployer") == nil {
		t.Errorf("%+v", r.access())
	}
	for _, tok := range r.s.Tokens() {
		if tok.User != "" {
			t.Errorf("token %+v is back", tok)
		}
	}
	r.survives()
}

// TestGoldenAccess: the commands of schema 4 about users, groups and roles, and the state that they lead to.
func TestGoldenAccess(t *testing.T) {
	r := newReplicaUnderTest(t)
	at := testStart.Add(2 * time.Second)
	entry := func(file string, c Command) goldenEntry {
		return goldenEntry{file: "v4_" + file + ".entry", bytes: mustEncode(t, at, c)}
	}
	applyGolden(t, r, []goldenEntry{
		entry("role_set", &RoleSet{RequestID: testRequestID(1), Actor: "me", Role: Role{Name: "deployer", Allow: []string{"instances:write@cluster=shop"}, Note: "CI"}}),
		entry("user_group_set", &UserGroupSet{RequestID: testRequestID(2), Actor: "me", Group: UserGroup{Name: "ops", Roles: []string{"deployer", "viewer"}}}),
		entry("user_set", &UserSet{RequestID: testRequestID(3), Actor: "me", User: User{Name: "alice@example", Groups: []string{"ops"}, Roles: []string{"admin"}, Note: "on call"}}),
		entry("user_disabled", &UserSet{RequestID: testRequestID(4), User: User{Name: "bob", Disabled: true}}),
		entry("issuer_set", &IssuerSet{RequestID: testRequestID(5), Actor: "me", Issuer: Issuer{URL: "https://login.example", Audience: "holdfast", UserClaim: "email", GroupsClaim: "groups",
			Groups: []ClaimedGroup{{"lb", "ops"}}, Authorities: "pem"}}),
		entry("user_token_put", &TokenPut{RequestID: testRequestID(6), Token: userToken("a", "alice@example"), Actor: "me"}),
		entry("user_removed", &UserSet{RequestID: testRequestID(7), Expect: 4, Remove: true, Actor: "me", User: User{Name: "bob"}}),
	})
	digest := []byte(r.s.Digest().String() + "\n")
	if want := golden(t, "v4_access.digest", digest); !bytes.Equal(digest, want) {
		t.Errorf("the log leads to digest %s, the file has %s", digest, want)
	}
	wantEqual(t, restored(t, golden(t, "v4_access.snapshot", snapshotBytes(t, r.s))), r.s)
}

// genAccess draws a command about users, groups and roles. Names are few, so that some are there and some are in use.
func genAccess(t *rapid.T, id RequestID) Command {
	role := rapid.SampledFrom([]string{"r1", "r2", RoleAdmin, RoleViewer, ""})
	group := rapid.SampledFrom([]string{"g1", "g2", "-"})
	remove := rapid.SampledFrom([]bool{false, false, true}).Draw(t, "remove")
	expect := uint64(rapid.SampledFrom([]int{0, 1}).Draw(t, "version"))
	switch rapid.SampledFrom([]int{0, 1, 2, 3}).Draw(t, "of access") {
	case 0:
		return &RoleSet{RequestID: id, Expect: expect, Remove: remove, Actor: "a", Role: Role{Name: role.Draw(t, "role"), Allow: rapid.SliceOfN(rapid.SampledFrom([]string{PermissionAccess, "status:read"}), 0, 2).Draw(t, "allow")}}
	case 1:
		return &UserGroupSet{RequestID: id, Expect: expect, Remove: remove, Actor: "a", Group: UserGroup{Name: group.Draw(t, "group"), Roles: rapid.SliceOfN(role, 0, 2).Draw(t, "roles")}}
	case 2:
		is := Issuer{URL: "u", Audience: "a", UserClaim: "c", GroupsClaim: "g"}
		if rapid.Bool().Draw(t, "claim") {
			is.Groups = []ClaimedGroup{{"x", group.Draw(t, "group")}}
		}
		return &IssuerSet{RequestID: id, Expect: expect, Remove: remove, Actor: "a", Issuer: is}
	}
	return &UserSet{RequestID: id, Expect: expect, Remove: remove, Actor: "a", User: User{Name: rapid.SampledFrom([]string{"u1", "u2"}).Draw(t, "user"), Disabled: rapid.Bool().Draw(t, "disabled"),
		Groups: rapid.SliceOfN(group, 0, 2).Draw(t, "groups"), Roles: rapid.SliceOfN(role, 0, 2).Draw(t, "roles")}}
}

// fitAccess gives a command about access the version of what is there.
func fitAccess(a *Access, c Command) {
	if a == nil {
		return
	}
	version := func(of *Changed, expect *uint64) {
		if of != nil && *expect != 0 {
			*expect = of.Version
		}
	}
	switch c := c.(type) {
	case *RoleSet:
		if x := a.Role(c.Role.Name); x != nil {
			version(&x.Changed, &c.Expect)
		}
	case *UserGroupSet:
		if x := a.UserGroup(c.Group.Name); x != nil {
			version(&x.Changed, &c.Expect)
		}
	case *UserSet:
		if x := a.User(c.User.Name); x != nil {
			version(&x.Changed, &c.Expect)
		}
	case *IssuerSet:
		if a.Issuer != nil {
			version(&a.Issuer.Changed, &c.Expect)
		}
	}
}
