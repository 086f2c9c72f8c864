package fsm

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestRestoreRefusesForgedAccess: what no command can have made is refused, though frame, checksums and order are right.
func TestRestoreRefusesForgedAccess(t *testing.T) {
	stamp := Changed{Version: 5, Time: testStart, Actor: "me"}
	at := list(itemOperating, appendU64(nil, 5))
	role := func(x Role) []byte { x.Changed = stamp; return appendRole(nil, &x) }
	group := func(x UserGroup) []byte { x.Changed = stamp; return appendUserGroup(nil, &x) }
	user := func(x User) []byte { x.Changed = stamp; return appendUser(nil, &x) }
	issuer := func(change func(*Issuer)) []byte {
		x := Issuer{URL: "https://login.example", Audience: "a", UserClaim: "sub", GroupsClaim: "groups", Groups: []ClaimedGroup{{"c", "g"}}, Changed: stamp}
		change(&x)
		return appendIssuer(nil, &x)
	}
	asItIs := func(*Issuer) {}
	r1, g, u := role(Role{Name: "r", Allow: []string{"a:b"}}), group(UserGroup{Name: "g", Roles: []string{"r"}}), user(User{Name: "u", Groups: []string{"g"}})
	token := func(user string) section {
		tok := userToken("t", user)
		return list(itemToken, appendToken(nil, &tok))
	}
	both := append(bytes.Clone(appendToken(nil, func() *Token { tok := testToken("t", "viewer"); return &tok }())), appendBytes(nil, "u")...)
	empty := append(bytes.Clone(appendToken(nil, func() *Token { tok := testToken("t", ""); return &tok }())), appendBytes(nil, "")...)
	old := Role{Name: "r", Changed: Changed{Version: 6, Time: testStart}}
	never := Role{Name: "r", Changed: Changed{Time: testStart}}
	later := Role{Name: "r", Changed: Changed{Version: 5, Time: testStart.Add(time.Millisecond)}}
	flag := bytes.Clone(user(User{Name: "u"}))
	flag[bytes.IndexByte(flag, 'u')+1+8] = 2
	state := everything(t).s
	for name, sections := range map[string][]section{
		"nothing":                  {at, list(itemAccess, nil)},
		"unknown item":             {at, list(itemAccess, []byte{9})},
		"cut off":                  {at, list(itemAccess, r1[:len(r1)-1])},
		"and more":                 {at, list(itemAccess, append(bytes.Clone(r1), 0))},
		"role twice":               {at, list(itemAccess, r1, r1)},
		"roles out of order":       {at, list(itemAccess, r1, role(Role{Name: "q"}))},
		"role behind groups":       {at, list(itemAccess, r1, g, role(Role{Name: "s"}))},
		"group behind users":       {at, list(itemAccess, r1, g, u, group(UserGroup{Name: "h"}))},
		"user behind the issuer":   {at, list(itemAccess, r1, g, issuer(asItIs), u)},
		"two issuers":              {at, list(itemAccess, r1, g, issuer(asItIs), issuer(asItIs))},
		"built-in role":            {at, list(itemAccess, role(Role{Name: RoleViewer}))},
		"role without a name":      {at, list(itemAccess, role(Role{}))},
		"permissions not sorted":   {at, list(itemAccess, role(Role{Name: "r", Allow: []string{"b", "a"}}))},
		"permission twice":         {at, list(itemAccess, role(Role{Name: "r", Allow: []string{"a", "a"}}))},
		"empty permission":         {at, list(itemAccess, role(Role{Name: "r", Allow: []string{""}}))},
		"group of no role":         {at, list(itemAccess, g)},
		"group of join tokens":     {at, list(itemAccess, group(UserGroup{Name: "g", Roles: []string{RoleNode}}))},
		"user of no group":         {at, list(itemAccess, u)},
		"user of no role":          {at, list(itemAccess, user(User{Name: "u", Roles: []string{"r"}}))},
		"user half disabled":       {at, list(itemAccess, flag)},
		"issuer of no group":       {at, list(itemAccess, issuer(asItIs))},
		"issuer without audience":  {at, list(itemAccess, r1, g, issuer(func(x *Issuer) { x.Audience = "" }))},
		"claim twice":              {at, list(itemAccess, r1, g, issuer(func(x *Issuer) { x.Groups = append(x.Groups, x.Groups...) }))},
		"version to come":          {at, list(itemAccess, appendRole(nil, &old))},
		"version none":             {at, list(itemAccess, appendRole(nil, &never))},
		"changed later":            {at, list(itemAccess, appendRole(nil, &later))},
		"before the first command": {list(itemAccess, r1)},
		"token of nobody":          {token("u"), at, list(itemAccess, r1, g)},
		"token of another":         {token("v"), at, list(itemAccess, r1, g, u)},
		"token of a user and role": {list(itemToken, both), at, list(itemAccess, r1, g, u)},
		"token of an empty user":   {list(itemToken, empty), at, list(itemAccess, r1, g, u)},
		"long list":                {at, list(itemAccess, append(appendBytes([]byte{accessRole}, "r"), 0xff, 0xff, 0xff, 0xff))},
	} {
		t.Run(name, func(t *testing.T) {
			err := wantRefused(t, state, forge(Digest{}, sections...))
			if !errors.Is(err, ErrSnapshotDamaged) || strings.Contains(err.Error(), "digest") {
				t.Fatal(err)
			}
		})
	}
	// What is right but for the digest is refused for that alone.
	if err := wantRefused(t, state, forge(Digest{}, token("u"), at, list(itemAccess, r1, g, u, issuer(asItIs)))); !strings.Contains(err.Error(), "digest") {
		t.Fatal(err)
	}
}

// TestDigestCoversAccess: every field of users, groups of users, roles, the issuer, and whose a token is.
func TestDigestCoversAccess(t *testing.T) {
	seen := map[Digest]string{}
	for name, change := range map[string]func(a *Access, tok *Token){
		"nothing":      func(*Access, *Token) {},
		"role":         func(a *Access, _ *Token) { a.Roles[0].Name = "s" },
		"allow":        func(a *Access, _ *Token) { a.Roles[0].Allow = []string{"c:d"} },
		"role note":    func(a *Access, _ *Token) { a.Roles[0].Note = "n" },
		"version":      func(a *Access, _ *Token) { a.Roles[0].Version++ },
		"time":         func(a *Access, _ *Token) { a.Roles[0].Time = testStart },
		"actor":        func(a *Access, _ *Token) { a.Roles[0].Actor = "you" },
		"group":        func(a *Access, _ *Token) { a.Groups[0].Name = "h" },
		"group roles":  func(a *Access, _ *Token) { a.Groups[0].Roles = []string{"r"} },
		"group note":   func(a *Access, _ *Token) { a.Groups[0].Note = "n" },
		"user":         func(a *Access, _ *Token) { a.Users[0].Name = "v" },
		"user groups":  func(a *Access, _ *Token) { a.Users[0].Groups = []string{"r"} },
		"user roles":   func(a *Access, _ *Token) { a.Users[0].Roles = []string{"r"} },
		"disabled":     func(a *Access, _ *Token) { a.Users[0].Disabled = true },
		"user note":    func(a *Access, _ *Token) { a.Users[0].Note = "n" },
		"no issuer":    func(a *Access, _ *Token) { a.Issuer = nil },
		"url":          func(a *Access, _ *Token) { a.Issuer.URL = "v" },
		"audience":     func(a *Access, _ *Token) { a.Issuer.Audience = "b" },
		"user claim":   func(a *Access, _ *Token) { a.Issuer.UserClaim = "d" },
		"groups claim": func(a *Access, _ *Token) { a.Issuer.GroupsClaim = "d" },
		"claim":        func(a *Access, _ *Token) { a.Issuer.Groups = []ClaimedGroup{{"d", "g"}} },
		"authorities":  func(a *Access, _ *Token) { a.Issuer.Authorities = "p" },
		"token's user": func(_ *Access, tok *Token) { tok.User = "u" },
	} {
		a := &Access{Roles: []Role{{Name: "r", Allow: []string{"a:b"}}}, Groups: []UserGroup{{Name: "g"}}, Users: []User{{Name: "u"}}, Issuer: &Issuer{URL: "u", Audience: "a", UserClaim: "c", GroupsClaim: "g"}}
		tok := testToken("t", "")
		change(a, &tok)
		r := newReplicaUnderTest(t)
		r.cur().operate(1, func(o *Operating) { o.Access = a })
		r.cur().setTokens(tokens{tok}, nil, &tok)
		r.cur().publish(2)
		if before, twice := seen[r.s.Digest()]; twice {
			t.Errorf("%s and %s have one digest", name, before)
		}
		seen[r.s.Digest()] = name
	}
}
