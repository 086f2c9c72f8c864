package fsm

import (
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// Subject names what is enabled, disabled and quiesced: an instance or a module of a cluster.
type Subject struct {
	Cluster string `json:"cluster"`
	// Instance is set for an instance, ContextRoot (with Host, which may be empty) for a module.
	Instance    string `json:"instance,omitempty"`
	Host        string `json:"host,omitempty"`
	ContextRoot string `json:"contextRoot,omitempty"`
}

// IsModule tells a module from an instance.
func (s Subject) IsModule() bool { return s.Instance == "" }

// Name is how the log names the subject: an instance by its name, a module by its host and context root.
func (s Subject) Name() string {
	if s.IsModule() {
		return s.Host + s.ContextRoot
	}
	return s.Instance
}

// Phase says which requests a subject gets.
type Phase uint8

// The phases of an instance or a module.
const (
	PhaseServing   Phase = iota // enabled: assigned and unassigned requests
	PhaseQuiescing              // disabled, before its deadline: assigned requests only
	PhaseStopped                // disabled, quiesced: none
)

// Quiesce is one that runs. It ends at its deadline, in replicated time, or when nothing is left.
type Quiesce struct {
	// ID is the log index at which it began.
	ID uint64 `json:"id"`
	Subject
	Started  time.Time `json:"started"`
	Deadline time.Time `json:"deadline"`
	Actor    string    `json:"actor,omitempty"`
	// Revision is the configuration revision that disabled the subject.
	Revision uint64 `json:"revision"`
}

// Lock is the maintenance lock: while it is on, the configuration cannot be changed.
type Lock struct {
	// ID is the log index at which it was taken.
	ID     uint64    `json:"id"`
	Owner  string    `json:"owner"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
	// Until is when it ends by itself, in replicated time; zero means never.
	Until time.Time `json:"until,omitzero"`
}

// HealthState is the group's verdict on an instance.
type HealthState string

// The states of health. An instance without a verdict is up.
const (
	HealthUp      HealthState = "up"
	HealthSuspect HealthState = "suspect" // some node, but no majority of those that report, finds it unavailable
	HealthFailed  HealthState = "failed"  // a majority of the nodes that report finds it unavailable
)

// Verdict is the group's view of an instance's health. An instance that is up and never was anything else has none.
type Verdict struct {
	Instance InstanceID  `json:"instance"`
	State    HealthState `json:"state"`
	Since    time.Time   `json:"since"`
	Reason   string      `json:"reason,omitempty"`
	// Down and Reporting count nodes: those that find it unavailable, or, when it is suspect, something wrong with it, or, when it is up, available (0 in older entries), of those that report.
	Down      int `json:"down"`
	Reporting int `json:"reporting"`
}

// Share is how many of an instance's maxConnections one node may use. The shares of an instance never add up to more than its bound, and a node
// without a share uses none, so the bound holds over all nodes.
type Share struct {
	Instance InstanceID `json:"instance"`
	Node     string     `json:"node"`
	Limit    int        `json:"limit"`
}

// Registration is an instance that registered itself and sends heartbeats. It is no part of the configuration's revisions.
type Registration struct {
	Cluster  string          `json:"cluster"`
	Instance config.Instance `json:"instance"`
	Since    time.Time       `json:"since"`

	// raw is Instance as it was proposed, byte for byte: it may have fields that this version does not know.
	raw []byte
}

// Schedule is a change that is to be applied at a time.
type Schedule struct {
	ID string `json:"id"`
	// At is replicated time.
	At      time.Time `json:"at"`
	Actor   string    `json:"actor"`
	Message string    `json:"message,omitempty"`
	Created time.Time `json:"created"`
	// Expect is the revision that Config was made from. Edits are made to whatever is current.
	Expect uint64         `json:"expect,omitempty"`
	Config *config.Config `json:"config,omitempty"`
	Edits  []config.Edit  `json:"edits,omitempty"`
	// Now names what is stopped without a quiesce.
	Now []Subject `json:"now,omitempty"`

	// rawConfig and rawEdits are Config and Edits as they were proposed.
	rawConfig, rawEdits []byte
}

// Workflow is a piece of long work whose progress is replicated, so that any node can go on with it. What Spec and Progress say is the
// business of whoever runs it.
type Workflow struct {
	ID string `json:"id"`
	// Kind is upgrade or cycle.
	Kind string `json:"kind"`
	// State is running, paused, waiting (for a person), aborting, done, failed or aborted.
	State   string    `json:"state"`
	Actor   string    `json:"actor"`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
	// Version is the log index of the last change; compare-and-swap goes by it.
	Version  uint64 `json:"version"`
	Spec     []byte `json:"spec"`
	Progress []byte `json:"progress,omitempty"`
	// Note says in words where it stands.
	Note string `json:"note,omitempty"`
}

// Ended tells whether the workflow changes no more.
func (w *Workflow) Ended() bool {
	return w.State == "done" || w.State == "failed" || w.State == "aborted"
}

// Operating is everything beside the assignments that decides where requests go and what operators may do: one immutable value, as of one
// log index. What it points to is shared and must not be changed.
type Operating struct {
	// Index is the log index of the last change of any part.
	Index    uint64
	Revision *Revision
	// Config is what is in force: the revision's configuration and the instances that registered themselves.
	Config     *config.Config
	Quiesces   []Quiesce // that run, by ID, then in the order of the configuration
	Lock       *Lock     // nil when it is off
	Verdicts   []Verdict // by instance id
	Registered []Registration
	Schedules  []Schedule   // by time, then id
	Workflows  []*Workflow  // the last 50, oldest first
	Shares     []Share      // by instance id, then node
	Holder     *Holder      // of the virtual addresses; nil: none was ever recorded
	Evacuated  []Evacuation // by node
	Backups    *Backups     // of the schedule; nil: none was ever begun
	Raised     *Raised      // the schema in force; nil: BaseSchema

	Certificates []Certificate // by name
	TicketKeys   []TicketKey   // the newest first, which is in force
	// Access is who may do what beside the built-in roles; nil: only those.
	Access  *Access
	Files   []*File // by name
	Uploads []*File // what has come of files that are on their way, by name
	// Revocations are the nodes that the group takes for its own no more, by id.
	Revocations []Revocation
	// ACMEValues (by key), ACMELocks (by name) and ACMEStates (by certificate) are of the certificates that the group obtains itself.
	ACMEValues []ACMEValue
	ACMELocks  []ACMELock
	ACMEStates []ACMEState
}

// Event is something that happened to the group. The last 1000 are kept.
type Event struct {
	// Seq counts events from 1 without a gap.
	Seq   uint64    `json:"seq"`
	Index uint64    `json:"index"`
	Time  time.Time `json:"time"`
	// Kind is one of the Event constants.
	Kind string `json:"kind"`
	Subject
	// Text is one line for people. For EventQuiesced it is the exact text that the log promises.
	Text  string `json:"text"`
	Actor string `json:"actor,omitempty"`
	// Node is the node that writes the event to its log, empty when none does.
	Node string `json:"node,omitempty"`
}

// The kinds of events. Values are append-only: programs decide by them.
const (
	EventConfig          = "config"           // a new configuration revision
	EventQuiesceStarted  = "quiesce-started"  //
	EventQuiesceChanged  = "quiesce-changed"  // another deadline
	EventQuiesceCanceled = "quiesce-canceled" // enabled again, or removed
	EventQuiesced        = "quiesced"         // ended
	EventStopped         = "stopped"          // disabled without a quiesce
	EventLocked          = "locked"
	EventUnlocked        = "unlocked"
	EventHealth          = "health"
	EventRegistered      = "registered"
	EventDropped         = "dropped" // a registered instance sends no heartbeats any more
	EventScheduled       = "scheduled"
	EventScheduleDone    = "schedule-done" // applied, dropped or failed
	EventWorkflow        = "workflow"
	EventHolder          = "holder"           // the virtual addresses have another holder, or none
	EventEvacuated       = "evacuated"        // a node is not to hold them
	EventReturned        = "evacuation-ended" // it may again
	EventBackup          = "backup"           // the schedule has made one
	EventBackupFailed    = "backup-failed"
	EventQuarantined     = "quarantined"      // a node has taken itself out of service; Actor is that node
	EventQuarantineOver  = "quarantine-ended" // it is back
	EventRevoked         = "revoked"          // a node is none of the group's any more; Actor is that node
	EventSilent          = "silent"           // a node does not answer the leader; Actor is that node
	EventAnswers         = "answers"          // it does again
	EventCopyRefused     = "copy-refused"     // a copy of a node that runs wanted to take part; Actor is that node
	EventSchema          = "schema"           // another schema of the state is in force
	EventRestoreBegun    = "restore-begun"    // of an archive into the running group
	EventRestored        = "restored"         // from an archive: the running group, or a new one
	EventPromoted        = "promoted"         // a group has begun again from a standby's archive
	EventRecovered       = "recovered"        // a group goes on from one node that was left
	EventRestoreDropped  = "restore-dropped"  // given up, or come to nothing
	EventCertificate     = "certificate"      // added, rotated or removed
	EventAccess          = "access"           // a user, a group of users, a role, the issuer or a token was set or removed
	EventStoreLost       = "store-lost"       // no node has the bytes of values any more
	EventStore           = "store"            // all values of one kind of a module were removed
)

// Effect says what a configuration change does to what runs, beside the configuration itself. Plan gives it before, the result of ConfigChange
// after; the same code makes both. Everything is in the order of the configuration, removed things last.
type Effect struct {
	Started  []QuiesceStart  `json:"started,omitempty"`
	Changed  []QuiesceChange `json:"changed,omitempty"`
	Canceled []Subject       `json:"canceled,omitempty"`
	Stopped  []Displaced     `json:"stopped,omitempty"`
}

// QuiesceStart is a quiesce that a change begins.
type QuiesceStart struct {
	Subject
	// Timeout is how long it lasts at most.
	Timeout config.Duration `json:"timeout"`
	// Sessions are the assignments that it concerns.
	Sessions int `json:"sessions"`
}

// QuiesceChange is a running quiesce whose time-out the change names: it now ends that long after the change.
type QuiesceChange struct {
	Subject
	Remaining config.Duration `json:"remaining"`
}

// Displaced is an instance or module that a change takes out at once. Sessions are the assignments that go elsewhere at their next request.
type Displaced struct {
	Subject
	// Why is removed or stopped.
	Why      string `json:"why"`
	Sessions int    `json:"sessions"`
}

// ConfigChange replaces the configuration when Expect is the current revision, like ConfigSet, and starts, changes and cancels quiesces by
// what is different: what was enabled and is not begins to quiesce.
type ConfigChange struct {
	RequestID RequestID `json:"requestId"`
	Expect    uint64    `json:"expect"`
	Actor     string    `json:"actor"`
	Message   string    `json:"message,omitempty"`
	// Now names what is stopped at once instead of quiescing. Subjects that the change does not disable, and that are not quiescing, are ignored.
	Now []Subject `json:"now,omitempty"`
	// Stopped names what must be disabled and quiesced before the change: otherwise it is refused (CodeInvalid).
	Stopped []Subject `json:"stopped,omitempty"`
	// Lock is the ID of the maintenance lock under which the change is made, 0 for none.
	Lock uint64 `json:"lock,omitempty"`
	// Schedule is the ID of the schedule that the change carries out, which is taken off the list with it. Refused when there is none such.
	Schedule string         `json:"schedule,omitempty"`
	Config   *config.Config `json:"config"`
}

// QuiesceSet changes the deadline of a running quiesce: Remaining from now, or Total from its start; exactly one is positive. CodeAbsent when none
// of that ID runs.
type QuiesceSet struct {
	RequestID RequestID       `json:"requestId"`
	ID        uint64          `json:"id"`
	Subject   Subject         `json:"subject"`
	Remaining config.Duration `json:"remaining,omitempty"`
	Total     config.Duration `json:"total,omitempty"`
	Actor     string          `json:"actor"`
}

// QuiesceEnd ends a running quiesce. At its deadline or later always; before that only with Idle. CodeAbsent when none of that ID and
// subject runs, CodeConflict when it has another deadline, CodeInvalid when it is too early.
type QuiesceEnd struct {
	ID      uint64  `json:"id"`
	Subject Subject `json:"subject"`
	// Idle: nothing is left, neither assignments nor requests in flight. The state checks the former again.
	Idle bool `json:"idle,omitempty"`
	// Deadline is the one that the proposer saw: refused when it has changed since.
	Deadline time.Time `json:"deadline"`
	// Node is the node that proposes it, which writes the event to its log.
	Node string `json:"node"`
}

// LockSet turns the maintenance lock on. CodeLocked when somebody else has it; the owner may take it again and so change Reason and Until; ID and
// Since stay.
type LockSet struct {
	RequestID RequestID `json:"requestId"`
	Owner     string    `json:"owner"`
	Reason    string    `json:"reason,omitempty"`
	// Timeout: 0 means that it does not end by itself.
	Timeout config.Duration `json:"timeout,omitempty"`
}

// LockClear turns it off. CodeAbsent when it is off already, also because its time is over. With Expired it does so only when its time is over, else
// CodeInvalid: that takes it off the state, and tells so.
type LockClear struct {
	RequestID RequestID `json:"requestId"`
	Actor     string    `json:"actor"`
	Expired   bool      `json:"expired,omitempty"`
}

// VerdictSet gives instances new verdicts; unknown ids are ignored. Since is set by the state when State changes.
type VerdictSet struct {
	Verdicts []Verdict `json:"verdicts"`
}

// SharesSet replaces all shares. CodeInvalid when those of an instance add up to more than its maxConnections.
type SharesSet struct {
	Shares []Share `json:"shares"`
}

// InstanceRegister adds a registered instance or changes it. CodeInvalid when the cluster does not exist or does not allow it, or when the
// configuration itself has an instance of that name.
type InstanceRegister struct {
	RequestID RequestID       `json:"requestId"`
	Cluster   string          `json:"cluster"`
	Instance  config.Instance `json:"instance"`
	Actor     string          `json:"actor"`
}

// InstanceDrop removes registered instances that send no heartbeats any more; those that are not registered are ignored.
type InstanceDrop struct {
	Instances []InstanceRef `json:"instances"`
	Reason    string        `json:"reason"`
}

// ScheduleSet adds a schedule; CodeInvalid when there is one of that ID or when there are too many (100). Created is set by the state.
type ScheduleSet struct {
	RequestID RequestID `json:"requestId"`
	Schedule  Schedule  `json:"schedule"`
}

// ScheduleDrop removes a schedule; CodeAbsent when there is none.
type ScheduleDrop struct {
	RequestID RequestID `json:"requestId"`
	ID        string    `json:"id"`
	Actor     string    `json:"actor"`
	// Failure is why it could not be applied, empty when a person took it back.
	Failure string `json:"failure,omitempty"`
}

// WorkflowSet adds a workflow (Expect 0; CodeInvalid when the ID exists) or replaces it when Expect is its Version (else CodeConflict; CodeInvalid
// when it has ended). Version, which is the Index of the Result, Created and Updated are set by the state.
type WorkflowSet struct {
	RequestID RequestID `json:"requestId"`
	Expect    uint64    `json:"expect"`
	Workflow  Workflow  `json:"workflow"`
}

// ModuleID stands for one (cluster, host, context root) of this group for ever. 0 means unknown.
type ModuleID uint16

// ModuleRef names the module behind a ModuleID.
type ModuleRef struct {
	Cluster     string `json:"cluster"`
	Host        string `json:"host"`
	ContextRoot string `json:"contextRoot"`
}

// Reason says why a session is where it is. Numbers are append-only and at most 15: they are on disk in four bits.
type Reason uint8

// The reasons of a decision about a session.
const (
	ReasonUnknown     Reason = 0
	ReasonPolicy      Reason = 1  // a new session: the policy's choice
	ReasonLearned     Reason = 2  // the application gave out its id
	ReasonRoute       Reason = 3  // the client's id, unknown so far, names the instance
	ReasonCookie      Reason = 4  // the client's sealed cookie said so: the table was repaired
	ReasonUnavailable Reason = 5  // the old instance was unavailable
	ReasonHandover    Reason = 6  // the old instance did not take the request
	ReasonQuiesced    Reason = 7  // the old instance had been quiesced or stopped
	ReasonRemoved     Reason = 8  // the old instance was no longer configured
	ReasonOperator    Reason = 9  // an operator moved or dropped it
	ReasonProvisional Reason = 10 // served without a quorum, recorded later
	ReasonRevived     Reason = 11 // it had expired while it was in use
	ReasonFull        Reason = 12 // the old instance had no room
	ReasonExpired     Reason = 13 // idle for too long (a drop)
	// ReasonUnanswered: it was recorded for a request whose client got no session by it, so that it was taken back (a drop).
	ReasonUnanswered Reason = 14
)

// String gives the reason in words.
func (r Reason) String() string {
	words := [...]string{"unknown", "chosen by the policy", "learned from the application", "named by the client's session id", "named by the client's cookie",
		"the instance was unavailable", "the instance did not take the request", "the instance had been quiesced or stopped", "the instance was no longer configured",
		"an operator decided", "served without a quorum and recorded later", "it was in use when it expired", "the instance had no room", "idle for too long", "no client heard of it"}
	if int(r) >= len(words) {
		return words[0]
	}
	return words[r]
}

// Decision is one decision about a session.
type Decision struct {
	Index uint64 `json:"index"`
	// Time is replicated time; zero when it is not known any more.
	Time time.Time `json:"time,omitzero"`
	// From and To are instances, 0 for none: a session begins with From 0 and is dropped with To 0.
	From   InstanceID `json:"from"`
	To     InstanceID `json:"to"`
	Reason Reason     `json:"reason"`
}
