package wire

import (
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// Subject is what is enabled, disabled and quiesced: an instance or a module of a cluster. With neither it stands for all instances of the cluster,
// where that is said.
type Subject struct {
	Cluster     string `json:"cluster" maxLength:"128"`
	Instance    string `json:"instance,omitempty" maxLength:"128" doc:"the instance; of a module absent"`
	Host        string `json:"host,omitempty" maxLength:"253" doc:"host of the module, absent when it has none"`
	ContextRoot string `json:"contextRoot,omitempty" maxLength:"1024" doc:"context root of the module; of an instance absent"`
}

// Name is how the log names the subject: an instance by its name, a module by its host and context root.
func (s Subject) Name() string {
	if s.ContextRoot == "" {
		return s.Instance
	}
	return s.Host + s.ContextRoot
}

// Kind is instance, module or cluster.
func (s Subject) Kind() string {
	switch {
	case s.Instance != "":
		return KindInstance
	case s.ContextRoot != "":
		return KindModule
	}
	return KindCluster
}

// String is the form that ParseSubject reads: CLUSTER/INSTANCE, CLUSTER:HOST/CONTEXTROOT, or CLUSTER.
func (s Subject) String() string {
	switch s.Kind() {
	case KindInstance:
		return s.Cluster + "/" + s.Instance
	case KindModule:
		return s.Cluster + ":" + s.Host + s.ContextRoot
	}
	return s.Cluster
}

// ParseSubject reads CLUSTER/INSTANCE, CLUSTER:/CONTEXTROOT, CLUSTER:HOST/CONTEXTROOT, or CLUSTER alone. A name has neither a colon nor a slash.
func ParseSubject(text string) (Subject, bool) {
	end := strings.IndexAny(text, ":/")
	switch {
	case text == "" || end == 0:
		return Subject{}, false
	case end < 0:
		return Subject{Cluster: text}, true
	case text[end] == '/':
		name := text[end+1:]
		return Subject{Cluster: text[:end], Instance: name}, name != "" && !strings.ContainsAny(name, ":/")
	}
	host, root, ok := strings.Cut(text[end+1:], "/")
	return Subject{Cluster: text[:end], Host: host, ContextRoot: "/" + root}, ok
}

// The kinds of things in a configuration.
const (
	KindCluster  = "cluster"
	KindInstance = "instance"
	KindModule   = "module"
)

// What the configuration and the quiesces make of an instance or a module.
const (
	AdminEnabled   = "enabled"   // assigned and unassigned requests
	AdminQuiescing = "quiescing" // disabled, before its deadline: assigned requests only
	AdminStopped   = "stopped"   // disabled, quiesced: none
)

// Effect says what a configuration change does to what runs: predicted (plan), or done. Of each list the first 100 are given, the counts are of all.
type Effect struct {
	Started  []QuiesceStart  `json:"started,omitempty" doc:"quiesces that begin"`
	Changed  []QuiesceChange `json:"changed,omitempty" doc:"running quiesces with another end"`
	Canceled []Subject       `json:"canceled,omitempty" doc:"quiesces that end because their subject is enabled again or gone"`
	Stopped  []Displaced     `json:"stopped,omitempty" doc:"what is removed, or stopped without a quiesce"`
	Counts   EffectCounts    `json:"counts"`
}

// EffectCounts are the lengths of the whole lists, and how many sessions go elsewhere at their next request.
type EffectCounts struct {
	Started  int `json:"started"`
	Changed  int `json:"changed"`
	Canceled int `json:"canceled"`
	Stopped  int `json:"stopped"`
	Sessions int `json:"sessions" doc:"assignments of what is removed or stopped: they go elsewhere at their next request"`
}

// QuiesceStart is a quiesce that a change begins.
type QuiesceStart struct {
	Subject
	Timeout  config.Duration `json:"timeout" doc:"how long it lasts at most, as in 31m"`
	Until    time.Time       `json:"until" doc:"replicated time at which it ends at the latest; of a plan: if it were applied now"`
	Sessions int             `json:"sessions" doc:"assignments that it concerns"`
}

// QuiesceChange is a running quiesce that ends at another time.
type QuiesceChange struct {
	Subject
	Remaining config.Duration `json:"remaining" doc:"how long it still lasts at most"`
	Until     time.Time       `json:"until"`
}

// Where the sessions go of what is taken out at once.
const (
	GoesToInstances = "instances" // to other instances of the cluster
	GoesToClusters  = "clusters"  // they begin anew in other clusters, which serve all the modules that they can be of
	GoesToSome      = "some"      // they begin anew where another cluster serves the module, else they are refused
	GoesNowhere     = "nowhere"   // they are refused: nobody else serves the module
)

// Displaced is an instance or a module that a change takes out at once.
type Displaced struct {
	Subject
	Why      string `json:"why" doc:"removed or stopped"`
	Sessions int    `json:"sessions" doc:"assignments that go elsewhere at their next request"`
	Goes     string `json:"goes,omitempty" enum:"instances,clusters,some,nowhere" doc:"where they go: to other instances of the cluster, to other clusters as new ones, to those for some modules only, or nowhere (503)"`
}

// Quiesce is one that runs.
type Quiesce struct {
	ID uint64 `json:"id" doc:"log index at which it began; what one change disables has one id"`
	Subject
	Kind     string          `json:"kind" enum:"instance,module"`
	Name     string          `json:"name" doc:"as the log names it"`
	Started  time.Time       `json:"started" doc:"replicated time"`
	Deadline time.Time       `json:"deadline" doc:"replicated time at which it ends at the latest"`
	Remains  config.Duration `json:"remains" doc:"from now to the deadline, 0s when it is over"`
	Sessions int             `json:"sessions" doc:"assignments that are left"`
	InFlight int64           `json:"inFlight" doc:"requests under way, over the nodes that answer"`
	Actor    string          `json:"actor,omitempty" doc:"who began it"`
	Revision uint64          `json:"revision" doc:"the configuration revision that disabled it"`
}

// QuiesceList is the quiesces that run.
type QuiesceList struct {
	Quiesces []Quiesce `json:"quiesces"`
}

// QuiesceUpdate gives a running quiesce another end. Exactly one of Remaining and Total.
type QuiesceUpdate struct {
	// Subject chooses one when several have the same id; without it all of them are changed.
	Subject   *Subject `json:"subject,omitempty" doc:"which one, when several have the same id; absent: all of them"`
	Remaining string   `json:"remaining,omitempty" maxLength:"32" doc:"from now on, as in 5m; this or total"`
	Total     string   `json:"total,omitempty" maxLength:"32" doc:"from its start on, as in 15m; this or remaining"`
}

// Lock is the maintenance lock: while it is on, the configuration can be changed only under it.
type Lock struct {
	ID     uint64    `json:"id" doc:"changes of the owner name it (lock)"`
	Owner  string    `json:"owner"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero" doc:"replicated time at which it ends by itself; absent: never"`
}

// Maintenance tells whether the maintenance lock is on.
type Maintenance struct {
	On   bool  `json:"on"`
	Lock *Lock `json:"lock,omitempty"`
}

// MaintenanceRequest turns the maintenance lock on.
type MaintenanceRequest struct {
	Owner   string `json:"owner,omitempty" maxLength:"128" doc:"absent: the note of the caller's token, or what the log calls the caller"`
	Reason  string `json:"reason" minLength:"1" maxLength:"512" doc:"why; whoever is refused reads it"`
	Timeout string `json:"timeout,omitempty" maxLength:"32" doc:"as in 2h: it then ends by itself; absent: never"`
}

// Heartbeat is the answer to an instance that says that it lives.
type Heartbeat struct {
	Heartbeat config.Duration `json:"heartbeat" doc:"how often to send one"`
	DropAfter config.Duration `json:"dropAfter" doc:"an instance that has sent none for so long is dropped"`
}

// Endpoints is what clients may choose from by themselves.
type Endpoints struct {
	Revision uint64             `json:"revision" doc:"the configuration revision"`
	Index    uint64             `json:"index" doc:"log index of the last change of what is in force"`
	Clusters []ClusterEndpoints `json:"clusters"`
}

// ClusterEndpoints is the instances of a cluster that are enabled and available, by the node that answers.
type ClusterEndpoints struct {
	Cluster   string     `json:"cluster"`
	Endpoints []Endpoint `json:"endpoints"`
}

// Endpoint is an instance that takes new work.
type Endpoint struct {
	Instance string   `json:"instance"`
	URLs     []string `json:"urls"`
	Weight   int      `json:"weight"`
	Zone     string   `json:"zone,omitempty"`
	Version  string   `json:"version,omitempty"`
	Backup   bool     `json:"backup,omitempty" doc:"only while no other is there"`
}
