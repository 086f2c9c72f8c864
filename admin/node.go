package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// The errors by which a Node tells the API how a call ended. Errors are matched with errors.Is; every other error is an
// internal one.
var (
	// ErrNoQuorum: there is no leader or no majority, and for certain nothing was done.
	ErrNoQuorum = errors.New("no quorum")
	// ErrNoRoom is an ErrNoQuorum: the disks of most nodes are full.
	ErrNoRoom = fmt.Errorf("%w: disks are full", ErrNoQuorum)
	// ErrOutcomeUnknown: the time was up before the group answered; the command may still be applied.
	ErrOutcomeUnknown = errors.New("outcome unknown")
	// ErrClosed: the node is leaving.
	ErrClosed = errors.New("node is closing")
)

// RefusedError is how a Node refuses what is asked of it, with the words for the caller.
type RefusedError struct{ Words string }

// Error gives the words.
func (e *RefusedError) Error() string { return e.Words }

// Node is the member of the group that the API drives.
type Node interface {
	// Propose has the group apply a rare command and returns once a majority has it and this node has applied it.
	Propose(ctx context.Context, c fsm.Command) (fsm.Result, error)
	// Record has the group apply one session operation and returns once a majority has it; the same errors as Propose.
	Record(ctx context.Context, op fsm.SessionOp) (fsm.SessionResult, error)
	// Heartbeat takes note that a registered instance lives, and registers it when it is new or has changed. A refusal is a Result with its code.
	Heartbeat(ctx context.Context, cluster string, in config.Instance, actor string) (fsm.Result, error)
	// Deregister drops a registered instance at once: it said goodbye. A refusal is a Result with its code, CodeAbsent when none of that name is registered.
	Deregister(ctx context.Context, cluster, instance, actor string) (fsm.Result, error)
	// Sync returns once the local state holds everything that was acknowledged anywhere before the call.
	Sync(ctx context.Context) error
	// WaitAll returns once every member has applied index.
	WaitAll(ctx context.Context, index uint64) error
	// Transfer hands leadership, and with it the virtual addresses, over to a member of the group by name, or to any that is eligible when to is empty.
	// It returns once that node leads and, where there are virtual addresses, holds them. *RefusedError: it cannot be done, and nothing was.
	Transfer(ctx context.Context, to string) error
	// Remove takes a member out of the group; one that leads hands over first. It returns once the group has decided so. force: also when the group could not survive the
	// next failure any more. *RefusedError: it cannot be done, and nothing was.
	Remove(ctx context.Context, name string, force bool) error
	// Resync has a member drop its state and take a new copy of it from the leader; one that leads hands over first. It returns once that has begun. *RefusedError: it
	// cannot be done, and nothing was dropped.
	Resync(ctx context.Context, name string) error
	// Info is what this node knows about the group right now. It must not block.
	Info() Info
	// Members asks every member, this one included, how it is; it takes a second at most. Members that do not answer are
	// in the list with Reachable false.
	Members(ctx context.Context) []Member
	// Ready is nil when this node should get traffic; errors.Join of several reasons is shown as a list.
	Ready() error
	// Instances is what this node thinks of the instances.
	Instances() []InstanceStatus
}

// Info is what a node knows about its group.
type Info struct {
	Name    string
	Version string
	// Leader is the name of the leader, empty when none is known.
	Leader string
	Term   uint64
	// Quorum is whether this node believes that a majority can be reached.
	Quorum bool
	// Parted: this process has left the node's place to the next one, and knows of the group what the leader tells it.
	Parted bool
}

// Member is the report of one member of the group.
type Member struct {
	Name      string
	Self      bool
	Role      string // leader, follower, candidate, joining; empty when it does not answer
	Voter     bool
	ReadOnly  bool // it wants no vote
	Reachable bool
	Err       string // why it did not answer
	Version   string
	Schema    int    // version of the state's schema that its program has; 0 when it does not answer
	Timing    string // its profile of --timing; empty when it does not say
	Zone      string
	PeerAddr  string
	AdminAddr string
	// Started is when its process began, or its last resync; zero when it does not answer.
	Started time.Time
	Ready   bool
	Reason  string // why it is not ready
	// Quarantine says why it has taken itself out of service; nil: it has not.
	Quarantine *Quarantine
	// Disk says why it should not lead because of its disk, empty when that is sound. NoRoom: the disk is full.
	Disk     string
	NoRoom   bool
	Applied  uint64
	Revision uint64
	Sessions int
	// ClockSkew is its clock minus ours, half the round trip taken off.
	ClockSkew time.Duration
	// Digest is of its state at Applied, taken together.
	Digest fsm.Digest
	// Checkpoint is its last comparison with the leader.
	Checkpoint fsm.CheckpointRecord
	// InForce is the Operating.Index that its data plane obeys.
	InForce uint64
	// Instances is what it thinks of the instances; nil when it did not say. Modules is what it has in flight for each.
	Instances []InstanceStatus
	Modules   []ModuleStatus
	// Duties are the leader's that it does now; nil for the others.
	Duties []DutyStatus
	// Programs are what workflows may run on it; nil when it did not say.
	Programs *Programs
	// VIP is what it says of the virtual addresses; nil when it did not say, or was started without any.
	VIP *VIPStatus
	// DNS is the zone that it answers DNS for; nil when it did not say, or answers for none.
	DNS *DNSZone
	// Backup is how it makes backups of the group's schedule; nil when it did not say, or makes none.
	Backup *BackupSetting
}

// Quarantine is why a node has taken itself out of service.
type Quarantine struct {
	Cause string // diverged, disk-full, stuck, differs
	// Since is by the node's own clock, Index the log index at which it was found.
	Since time.Time
	Index uint64
	Text  string
	// Difference names what differs first; empty while that is not known.
	Difference string
}

// BackupSetting is how a node makes backups.
type BackupSetting struct {
	To    string // a directory, or s3://BUCKET/PREFIX
	Every time.Duration
	Keep  int // 0: all
}

// VIPStatus is what one node says of the virtual addresses.
type VIPStatus struct {
	Addresses []string // that it was started with, as in 10.0.0.100/24@eth0
	Holds     bool     // it has them now
	Prepared  bool     // it has them silently, ready to take over from the holder
	Eligible  bool     // it may be given them
	Reason    string   // why it may not
	// Conflict says who else on the link claims one of them, and which; empty: nobody.
	Conflict string
	// Connections are the clients' connections to the addresses that it has open.
	Connections int
	// Warnings say why clients may not find addresses where this node would hold them, or find them there for too long.
	Warnings []string
}

// DNSZone is what a node answers DNS for.
type DNSZone struct {
	Name string        // without the dot at the end, in lower case
	TTL  time.Duration // of the answers
}

// Programs is what a node has in its hook directory.
type Programs struct {
	Dir   bool     // it was started with one
	Names []string // of the programs
	Cut   bool     // there are more than Names has
}

// DutyStatus is what a node says about one duty of the leader that it does.
type DutyStatus struct {
	Duty   string
	Since  time.Time // when it began with it
	Last   time.Time // when it last looked whether something is due; zero: not yet
	Runs   uint64
	Error  string    // of the last run that failed
	Failed time.Time // when that was
}

// ModuleStatus is what one node has in flight for one module.
type ModuleStatus struct {
	Cluster     string
	Host        string
	ContextRoot string
	InFlight    int64
}

// InstanceStatus is what one node thinks of one instance.
type InstanceStatus struct {
	Cluster  string
	Instance string
	Up       bool   // at least one of its listeners is available
	Partial  bool   // up, but not on all of its listeners
	Reason   string // why it is not up, or only partially
	Since    time.Time
	InFlight int64
	Waiting  int64   // requests that wait for a connection
	Suspect  bool    // checks have failed, but not yet enough in a row
	Agent    string  // what its agent says of unassigned requests ("drain", "50%", "drain, 50%"), "" for nothing
	Withheld float64 // the part of its share that it does not get by that, from 0 to 1
	// Certificate is the one of its https listeners that ends first; nil when none was seen.
	Certificate *InstanceCertificate
}

// InstanceCertificate is what a node has seen an instance present.
type InstanceCertificate struct {
	URL     string // of the listener
	Subject string
	Ends    time.Time // when it, or an issuer of it, expires
}

// State is the view of the replicated state that the API reads; *fsm.State satisfies it.
type State interface {
	Applied() uint64
	Now() time.Time
	Lookup(fsm.Key) (fsm.Assignment, bool)
	Revision() *fsm.Revision
	// Revisions is the history that the group keeps, the oldest first, the current one last.
	Revisions() []*fsm.Revision
	// Operating is what is in force beside the assignments, never nil.
	Operating() *fsm.Operating
	// Plan says what replacing the configuration by next would do now.
	Plan(next *config.Config, now []fsm.Subject) fsm.Effect
	Events(after uint64, limit int) []fsm.Event
	LastEvent() uint64
	FailedSchedule() *fsm.Event
	Decisions(fsm.Key) (list []fsm.Decision, whole bool)
	ModuleID(cluster, host, contextRoot string) (fsm.ModuleID, bool)
	ModuleRef(fsm.ModuleID) (fsm.ModuleRef, bool)
	ModuleSessions(fsm.ModuleID) int
	Group() *fsm.Group
	InstanceID(cluster, instance string) (fsm.InstanceID, bool)
	InstanceRef(fsm.InstanceID) (fsm.InstanceRef, bool)
	Sessions(fsm.InstanceID) int
	Len() int
	Scan(cursor uint64, limit int, keep func(fsm.Key, fsm.Assignment) bool) ([]fsm.Entry, uint64)
	Tokens() []fsm.Token
	TokenByID(id string) (fsm.Token, bool)
	// Stored is a value of the store, nil for none.
	Stored(fsm.StoreKey) *fsm.Stored
	// StoredLost is a value whose bytes no node has any more, nil for none.
	StoredLost(fsm.StoreKey) *fsm.Stored
	// StoreRefuses says with what result a write would be refused now; false: it would be done.
	StoreRefuses(*fsm.StorePut) (fsm.Result, bool)
	StoredKeys(m fsm.ModuleID, prefix, after string, limit int) (list []*fsm.Stored, more bool)
	// KeysChanged is the log index of the last change of a module's keys; StoreNews is closed with the next change of the store.
	KeysChanged(fsm.ModuleID) uint64
	StoreNews() <-chan struct{}
	StoreUse() (list []fsm.StoreUse, total int64)
}

// Sessions turns what an application or a client knows into what the table knows. The data plane has the keys for it.
type Sessions interface {
	// Key gives the key of an application's session id in a module; the error says why the id is none.
	Key(cluster, host, contextRoot, session string) (fsm.Key, error)
	// OpenCookie opens an insert cookie of a module; the error says that it is not authentic, without quoting it.
	OpenCookie(cluster, host, contextRoot, cookie string) (Cookie, error)
}

// Cookie is the content of an insert cookie.
type Cookie struct {
	Key         fsm.Key
	Instance    fsm.InstanceID
	Epoch       uint32
	Index       uint64
	Provisional bool
}
