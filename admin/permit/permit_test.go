package permit_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/fsm"
)

func own(allow ...string) *fsm.Access {
	return &fsm.Access{Roles: []fsm.Role{{Name: "own", Allow: allow}}}
}

// TestBuiltInRolesGrow: TIP-07e. Each built-in role has what the one before has, and admin has everything.
func TestBuiltInRolesGrow(t *testing.T) {
	var before []string
	for _, role := range []string{fsm.RoleNode, fsm.RoleViewer, fsm.RoleOperator, fsm.RoleAdmin} {
		has := permit.Of([]string{role}, nil).List()
		for _, p := range before {
			if !slices.Contains(has, p) {
				t.Errorf("%s lacks %s", role, p)
			}
		}
		if len(has) <= len(before) && role != fsm.RoleNode {
			t.Errorf("%s has %d permissions, the role before it %d", role, len(has), len(before))
		}
		before = has
	}
	if len(before) != len(permit.All) {
		t.Errorf("admin has %d of %d", len(before), len(permit.All))
	}
	if n := len(permit.Of([]string{fsm.RoleNode, "", "nobody"}, nil).List()); n != 0 {
		t.Errorf("join tokens and unknown roles have %d permissions", n)
	}
	for _, p := range permit.All {
		if p.Role == "" || p.About == "" || strings.Count(p.Name, ":") != 1 {
			t.Errorf("%+v", p)
		}
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]struct{ name, cluster, says string }{
		"config:write":                     {name: "config:write"},
		"instances:write@cluster=shop":     {name: "instances:write", cluster: "shop"},
		"instances:write@cluster=a=b@c":    {name: "instances:write", cluster: "a=b@c"},
		"instances:write@cluster=":         {says: "is no bound"},
		"instances:write@":                 {says: "is no bound"},
		"instances:write@zone=a":           {says: "is no bound"},
		"instances:write@cluster=a b":      {says: "is no bound"},
		"instances:write@cluster=a\x00":    {says: "is no bound"},
		"config:write@cluster=shop":        {says: "cannot be bounded"},
		"anyone":                           {says: "there is no permission"},
		"":                                 {says: "there is no permission"},
		"*":                                {says: "there is no permission"},
		"config:*":                         {says: "there is no permission"},
		"Config:Write":                     {says: "there is no permission"},
		" config:write":                    {says: "there is no permission"},
		"config:write,access:write":        {says: "there is no permission"},
		strings.Repeat("x", 1<<16) + ":y":  {says: "there is no permission"},
		"access:write@cluster=shop":        {says: "cannot be bounded"},
		"instances:write @cluster=shop":    {says: "there is no permission"},
		"instances:write@cluster=shop\x7f": {says: "is no bound"},
	} {
		name, cluster, err := permit.Parse(text)
		if want.says == "" && (err != nil || name != want.name || cluster != want.cluster) || want.says != "" && (err == nil || !strings.Contains(err.Error(), want.says) || len(err.Error()) > 2000) {
			t.Errorf("%.80q: %q, %q, %v", text, name, cluster, err)
		}
	}
}

// TestSet: a set grants what was given to it and nothing else; what cannot be read grants nothing.
func TestSet(t *testing.T) {
	s := permit.Of([]string{"own"}, own("instances:write@cluster=shop", "status:read", "config:*", "later:write", ""))
	if got := s.List(); !slices.Equal(got, []string{"instances:write@cluster=shop", "status:read"}) {
		t.Errorf("%q", got)
	}
	if s.Has(permit.InstancesWrite) || !s.HasSome(permit.InstancesWrite) || !s.HasIn(permit.InstancesWrite, "shop") || s.HasIn(permit.InstancesWrite, "other") || s.HasIn(permit.InstancesWrite, "") {
		t.Error("the bound does not hold")
	}
	if s.HasSome("later:write") || s.HasSome("") || s.HasIn("", "shop") || s.Has(permit.Anyone) {
		t.Error("it grants what it does not have")
	}
	whole := permit.Of([]string{"own"}, own("config:write", "instances:write@cluster=shop"))
	if !whole.HasIn(permit.InstancesWrite, "other") || whole.Has(permit.SessionsWrite) || !slices.Equal(whole.List(), []string{"config:write"}) {
		t.Errorf("%q", whole.List())
	}
	// An own role cannot take the name of a built-in one, whatever the state says.
	if permit.Of([]string{fsm.RoleViewer}, &fsm.Access{Roles: []fsm.Role{{Name: fsm.RoleViewer, Allow: []string{permit.AccessWrite}}}}).Has(permit.AccessWrite) {
		t.Error("viewer was changed")
	}
	var none permit.Set
	if none.Has(permit.StatusRead) || none.HasSome(permit.StatusRead) || none.HasIn(permit.InstancesWrite, "shop") || len(none.List()) != 0 {
		t.Error("nothing grants something")
	}
}

// FuzzParse: what is accepted is a permission that a set then has, in that cluster and no wider.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"config:write", "instances:write@cluster=shop", "instances:write@cluster=", "@", "a:b@cluster=c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, cluster, err := permit.Parse(text)
		s := permit.Of([]string{"own"}, own(text))
		if err != nil {
			if len(s.List()) != 0 {
				t.Fatalf("%q is refused and grants %q", text, s.List())
			}
			return
		}
		if list := s.List(); len(list) != 1 || list[0] != text {
			t.Fatalf("%q grants %q", text, list)
		}
		if s.HasIn(name, cluster) == false || s.Has(name) != (cluster == "") {
			t.Fatalf("%q: %q in %q", text, name, cluster)
		}
	})
}

// TestTheDocumentListsThem: docs/ACCESS.md has each permission with its role and what it allows, and no other one.
func TestTheDocumentListsThem(t *testing.T) {
	data, err := os.ReadFile("../../docs/ACCESS.md")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, p := range permit.All {
		fmt.Fprintf(&want, "| `%s` | %s | %s |\n", p.Name, p.Role, p.About)
	}
	if !strings.Contains(string(data), "|---|---|---|\n"+want.String()+"\n") {
		t.Errorf("the table of docs/ACCESS.md is not\n%s", want.String())
	}
}
