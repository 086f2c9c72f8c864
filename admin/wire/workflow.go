package wire

import "time"

// WorkflowRequest asks for an upgrade of clusters, or for the cycle of an instance or a module. Times are written as in 5m or 1h30m.
type WorkflowRequest struct {
	Kind string `json:"kind,omitempty" enum:"upgrade,cycle"`
	// Clusters are upgraded one after the other, in this order.
	Clusters []string         `json:"clusters,omitempty" maxItems:"100" doc:"upgrade: the clusters, in order"`
	Subject  *WorkflowSubject `json:"subject,omitempty" doc:"cycle: the instance or the module"`
	Hooks    WorkflowHooks    `json:"hooks" doc:"what is called while the target gets no requests; each https://…, http://…, exec:NAME or manual"`
	Gate     *WorkflowGate    `json:"gate,omitempty" doc:"upgrade: what must be passed before the next cluster"`
	// QuiesceTimeout replaces that of the configuration for this work.
	QuiesceTimeout string            `json:"quiesceTimeout,omitempty" maxLength:"40" doc:"instead of the configuration's; 0s stops at once"`
	Version        string            `json:"version,omitempty" maxLength:"128" doc:"upgrade: the version label of the cluster's instances after it"`
	SchemaChange   bool              `json:"schemaChange,omitempty" doc:"upgrade: old and new version cannot work with the same data; refused without force"`
	Force          bool              `json:"force,omitempty" doc:"go on where modules have no server meanwhile"`
	MinHealthy     int               `json:"minHealthy,omitempty" minimum:"0" maximum:"1048576" doc:"upgrade: how many instances of a cluster must be healthy after the hooks; 0: all"`
	Timeouts       *WorkflowTimeouts `json:"timeouts,omitempty"`
}

// WorkflowSubject names an instance, or a module, of a cluster.
type WorkflowSubject struct {
	Cluster     string `json:"cluster" minLength:"1" maxLength:"128"`
	Instance    string `json:"instance,omitempty" maxLength:"128"`
	Host        string `json:"host,omitempty" maxLength:"253"`
	ContextRoot string `json:"contextRoot,omitempty" maxLength:"1024"`
}

// WorkflowHooks are called in the order stop, upgrade, start.
type WorkflowHooks struct {
	Stop    string `json:"stop,omitempty" maxLength:"2048"`
	Upgrade string `json:"upgrade,omitempty" maxLength:"2048"`
	Start   string `json:"start,omitempty" maxLength:"2048"`
}

// WorkflowGate is between two clusters.
type WorkflowGate struct {
	Type      string `json:"type,omitempty" enum:"none,manual,soak"`
	Duration  string `json:"duration,omitempty" maxLength:"40" doc:"how long a soak watches the health of the cluster"`
	MaxFailed int    `json:"maxFailed,omitempty" minimum:"0" maximum:"1048576" doc:"how many of its instances may be unavailable at a time meanwhile"`
}

// WorkflowTimeouts bound the steps; when one is over, a person decides.
type WorkflowTimeouts struct {
	InFlight string `json:"inFlight,omitempty" maxLength:"40" doc:"for requests in flight after the quiesce (5m)"`
	Hook     string `json:"hook,omitempty" maxLength:"40" doc:"for one call of a hook (10m)"`
	Healthy  string `json:"healthy,omitempty" maxLength:"40" doc:"until the instances are healthy (10m)"`
}

// Workflow is a piece of long work and how far it is.
type Workflow struct {
	ID    string `json:"id"`
	Kind  string `json:"kind"`
	State string `json:"state" doc:"running, paused, waiting, aborting, done, failed or aborted"`
	Note  string `json:"note,omitempty" doc:"where it stands, in words"`
	// NeedsPerson is only of those that wait; the others go on by themselves when they can.
	NeedsPerson bool      `json:"needsPerson,omitempty" doc:"it waits for a person, who resumes or aborts it"`
	Actor       string    `json:"actor"`
	Created     time.Time `json:"created,omitzero"`
	Updated     time.Time `json:"updated,omitzero"`
	Version     uint64    `json:"version" doc:"log index of its last change"`
	// Request is what was asked for, without the queries of its addresses, which may hold secrets.
	Request WorkflowRequest `json:"request"`
	Step    int             `json:"step" doc:"place of the present step in steps, from 0"`
	Steps   []WorkflowStep  `json:"steps"`
	// Warnings are in the answer to its beginning only.
	Warnings []string `json:"warnings,omitempty" doc:"in the answer to its beginning: programs of hooks that nodes do not have, or that could not be checked"`
}

// WorkflowState is where a workflow stands that has not ended, in one line.
type WorkflowState struct {
	ID          string `json:"id"`
	Kind        string `json:"kind"`
	State       string `json:"state" doc:"running, paused, waiting or aborting"`
	Note        string `json:"note,omitempty" doc:"where it stands, in words"`
	NeedsPerson bool   `json:"needsPerson,omitempty" doc:"it waits for a person, who resumes or aborts it"`
	// Clusters are those that it is at: the one of its step, and those of which it has disabled something.
	Clusters []string `json:"clusters" doc:"the clusters that it is at"`
}

// WorkflowStep is one step of a workflow.
type WorkflowStep struct {
	ID    string `json:"id" doc:"with the workflow's id before it the Idempotency-Key of its hook"`
	Text  string `json:"text"`
	State string `json:"state" enum:"done,now,later"`
}

// WorkflowList is the workflows that the group remembers, the oldest first.
type WorkflowList struct {
	Workflows []Workflow `json:"workflows"`
}

// WorkflowPlan is what a workflow would do; nothing is done.
type WorkflowPlan struct {
	Kind    string           `json:"kind"`
	Targets []WorkflowTarget `json:"targets"`
	Steps   []string         `json:"steps"`
	// Refused says why the workflow would not be taken.
	Refused []string `json:"refused" doc:"why it would not be taken; empty when it would be"`
	AtMost  string   `json:"atMost" doc:"how long it takes at most, beside what a person has to do"`
	ByHand  bool     `json:"byHand" doc:"it waits for a person somewhere"`
	// Warnings do not keep it from beginning.
	Warnings []string `json:"warnings" doc:"programs of hooks that nodes do not have, or that could not be checked"`
}

// WorkflowTarget is a cluster, an instance or a module of a plan.
type WorkflowTarget struct {
	Cluster     string   `json:"cluster"`
	Instance    string   `json:"instance,omitempty"`
	Host        string   `json:"host,omitempty"`
	ContextRoot string   `json:"contextRoot,omitempty"`
	Disables    []string `json:"disables" doc:"what is disabled together"`
	Sessions    int      `json:"sessions" doc:"assignments that fail over if they are still used after the quiesce"`
	Quiesce     string   `json:"quiesce" doc:"how long known sessions are served at most"`
	Unserved    []string `json:"unserved" doc:"modules that nobody would serve meanwhile"`
}
