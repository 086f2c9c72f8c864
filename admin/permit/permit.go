// Package permit says what permissions there are, which of them the built-in roles have, and whether a caller has one.
//
// A permission names an area and a verb, as in config:write. Some may be bounded to one cluster: instances:write@cluster=shop. The names are a contract with users:
// a new one may be added, none changes its meaning.
//
// It promises that a set grants nothing that was not given to it, that what cannot be read grants nothing, and that the built-in roles have what they have had
// before there were permissions. Values are immutable once made and safe for any number of goroutines.
package permit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-lb/holdfast/fsm"
)

// The permissions.
const (
	StatusRead        = "status:read"
	ConfigRead        = "config:read"
	ConfigWrite       = "config:write"
	InstancesWrite    = "instances:write"
	SessionsRead      = "sessions:read"
	SessionsExplain   = "sessions:explain"
	SessionsWrite     = "sessions:write"
	AuditRead         = "audit:read"
	CertificatesRead  = "certificates:read"
	CertificatesWrite = "certificates:write"
	MaintenanceWrite  = "maintenance:write"
	WorkflowsWrite    = "workflows:write"
	WorkflowsHook     = "workflows:hook"
	NodesWrite        = "nodes:write"
	NodesUpgrade      = "nodes:upgrade"
	BackupsRead       = "backups:read"
	BackupsWrite      = "backups:write"
	StoreUse          = "store:use"
	AccessRead        = "access:read"
	AccessWrite       = fsm.PermissionAccess
	// Anyone is what every caller may that is somebody. No role names it.
	Anyone = "anyone"
)

// Permission is one of All.
type Permission struct {
	Name string
	// Role is the least of the built-in roles that has it.
	Role string
	// About says what it allows.
	About string
	// Bounded: it may be given for one cluster only.
	Bounded bool
}

// All lists the permissions.
var All = []Permission{
	{StatusRead, fsm.RoleViewer, "state of nodes, clusters, instances, quiesces, workflows; metrics", false},
	{ConfigRead, fsm.RoleViewer, "configuration, its history and schedules; plan and validate", false},
	{SessionsRead, fsm.RoleViewer, "list, show and look up sessions", false},
	{AuditRead, fsm.RoleViewer, "events: what happened, and who did it", false},
	{CertificatesRead, fsm.RoleViewer, "certificates without their keys", false},
	{InstancesWrite, fsm.RoleOperator, "instances, modules on and off, quiesces, heartbeats", true},
	{ConfigWrite, fsm.RoleOperator, "the whole configuration, instances:write included", false},
	{SessionsExplain, fsm.RoleOperator, "what was decided about a session, and what comes next; with store:use also its data", false},
	{SessionsWrite, fsm.RoleOperator, "move and drop sessions, and their data; with store:use also all keys of a module", false},
	{CertificatesWrite, fsm.RoleOperator, "add, rotate and remove certificates", false},
	{MaintenanceWrite, fsm.RoleOperator, "the maintenance lock", false},
	{WorkflowsWrite, fsm.RoleOperator, "begin, pause, resume and abort upgrades and cycles", false},
	{StoreUse, fsm.RoleApplication, "the data of sessions, and the keys of modules", true},
	{NodesWrite, fsm.RoleOperator, "transfer, evacuate, resync and remove nodes", false},
	{WorkflowsHook, fsm.RoleAdmin, "workflows with hooks that nodes run or call", false},
	{NodesUpgrade, fsm.RoleAdmin, "another program takes a node over", false},
	{BackupsRead, fsm.RoleAdmin, "backups and the log, with all secrets of the group", false},
	{BackupsWrite, fsm.RoleAdmin, "restore an archive into the running group", false},
	{AccessRead, fsm.RoleAdmin, "tokens, users, groups, roles, issuer", false},
	{AccessWrite, fsm.RoleAdmin, "change those: as good as everything", false},
}

// clusterBound stands before the cluster of a bounded permission.
const clusterBound = "@cluster="

// rank orders the built-in roles; a role that opens nothing has none. What is in the store is its users': an application has it, who may change what runs, and no viewer.
var rank = map[string]int{fsm.RoleViewer: 1, fsm.RoleApplication: 2, fsm.RoleOperator: 2, fsm.RoleAdmin: 3}

// Find gives a permission by its name without a bound; false when there is none. Anyone is none.
func Find(name string) (Permission, bool) {
	i := slices.IndexFunc(All, func(p Permission) bool { return p.Name == name })
	if i < 0 {
		return Permission{}, false
	}
	return All[i], true
}

// Parse checks one permission of a role and gives its name and the cluster that bounds it, empty for none. The error says what is wrong and what there is.
func Parse(text string) (name, cluster string, err error) {
	name, bound, bounded := strings.Cut(text, "@")
	p, known := Find(name)
	switch {
	case !known:
		return "", "", fmt.Errorf("there is no permission %.80q: want one of %s", text, strings.Join(Names(), ", "))
	case !bounded:
		return name, "", nil
	case !p.Bounded:
		return "", "", fmt.Errorf("permission %s cannot be bounded, so %.300q is none: only %s can", name, text, strings.Join(boundable(), ", "))
	}
	cluster, ok := strings.CutPrefix("@"+bound, clusterBound)
	if !ok || cluster == "" || strings.ContainsFunc(cluster, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return "", "", fmt.Errorf("%.300q is no bound: want %s%sNAME with the name of a cluster", text, name, clusterBound)
	}
	return name, cluster, nil
}

// Names are those of All, in that order.
func Names() []string {
	out := make([]string, len(All))
	for i := range All {
		out[i] = All[i].Name
	}
	return out
}

func boundable() (out []string) {
	for i := range All {
		if All[i].Bounded {
			out = append(out, All[i].Name)
		}
	}
	return out
}

// OfRole are the permissions of a built-in role; none for another one.
func OfRole(role string) (out []string) {
	for i := range All {
		if rank[role] >= rank[All[i].Role] && (role != fsm.RoleApplication || All[i].Role == role) {
			out = append(out, All[i].Name)
		}
	}
	return out
}

// Set is what somebody may. The zero value may nothing.
type Set struct {
	whole    map[string]bool
	clusters map[string]map[string]bool
}

// Of is what roles allow together. What a role has that this version does not know allows nothing: a later version gave it a meaning.
func Of(roles []string, a *fsm.Access) Set {
	s := Set{whole: map[string]bool{}, clusters: map[string]map[string]bool{}}
	for _, role := range roles {
		texts := OfRole(role)
		if own := a.Role(role); own != nil && !fsm.BuiltIn(role) {
			texts = own.Allow
		}
		for _, text := range texts {
			s.give(text)
		}
	}
	return s
}

// Bound is what a token of a role with one bounded permission may in some clusters alone.
func Bound(name string, clusters []string) Set {
	s := Set{whole: map[string]bool{}, clusters: map[string]map[string]bool{}}
	for _, cluster := range clusters {
		s.give(name + clusterBound + cluster)
	}
	return s
}

func (s *Set) give(text string) {
	name, cluster, err := Parse(text)
	switch {
	case err != nil:
	case cluster == "":
		s.whole[name] = true
	default:
		if s.clusters[name] == nil {
			s.clusters[name] = map[string]bool{}
		}
		s.clusters[name][cluster] = true
	}
}

// Has tells whether a permission is there without a bound. config:write has instances:write in it.
func (s Set) Has(name string) bool {
	return s.whole[name] || name == InstancesWrite && s.whole[ConfigWrite]
}

// HasSome tells whether a permission is there, perhaps for some clusters only.
func (s Set) HasSome(name string) bool { return s.Has(name) || len(s.clusters[name]) > 0 }

// HasIn tells whether a permission is there for a cluster.
func (s Set) HasIn(name, cluster string) bool { return s.Has(name) || s.clusters[name][cluster] }

// List gives the permissions as a role would name them, sorted.
func (s Set) List() []string {
	out := make([]string, 0, len(s.whole))
	for name := range s.whole {
		out = append(out, name)
	}
	for name, clusters := range s.clusters {
		for cluster := range clusters {
			if !s.Has(name) {
				out = append(out, name+clusterBound+cluster)
			}
		}
	}
	slices.Sort(out)
	return out
}
