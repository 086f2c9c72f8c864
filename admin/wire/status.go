package wire

import "time"

// Consistency says how fresh an answer is.
const (
	// Linearizable: it holds everything that was acknowledged anywhere in the group before the question.
	Linearizable = "linearizable"
	// Stale: it is what this node knows, perhaps behind the group.
	Stale = "stale"
)

// Status is one screen of everything. It is answered also without a quorum; Consistency then says stale.
type Status struct {
	Node        string    `json:"node" doc:"the node that answers"`
	Version     string    `json:"version" doc:"version of the program of the node that answers"`
	Consistency string    `json:"consistency" enum:"linearizable,stale"`
	Group       Group     `json:"group"`
	Quorum      bool      `json:"quorum" doc:"whether this node can reach a majority"`
	Leader      string    `json:"leader" doc:"name of the leader, empty when none is known"`
	Term        uint64    `json:"term"`
	Applied     uint64    `json:"applied" doc:"log index up to which the answer holds"`
	Time        time.Time `json:"time" doc:"replicated time, set by the leader with each entry"`
	Revision    Revision  `json:"revision" doc:"the current configuration revision"`
	Sessions    int       `json:"sessions" doc:"assignments in the replicated table"`
	// StateHash sums up the nodes': equal, differs, pending or unknown.
	StateHash string `json:"stateHash" enum:"equal,differs,pending,unknown" doc:"whether all nodes that answer hold the same state"`
	Nodes     []Node `json:"nodes"`
	// Holder is of the virtual addresses.
	Holder    *Holder      `json:"holder,omitempty" doc:"who holds the virtual addresses; absent while that was never recorded"`
	Evacuated []Evacuation `json:"evacuated" doc:"the nodes that are neither to lead nor to hold the virtual addresses, by name"`
	Listeners []Listener   `json:"listeners"`
	Clusters  []Cluster    `json:"clusters"`
	// OperatingIndex is the log index of the last change of what is in force; compare with inForce of the nodes.
	OperatingIndex uint64     `json:"operatingIndex" doc:"log index of the last change of what is in force beside the assignments"`
	Quiesces       []Quiesce  `json:"quiesces" doc:"those that run"`
	Maintenance    *Lock      `json:"maintenance,omitempty" doc:"the maintenance lock, absent when it is off"`
	Schedules      []Schedule `json:"schedules" doc:"changes that wait for their time, the next one first"`
	// Workflows are in the order in which they began.
	Workflows []WorkflowState `json:"workflows" doc:"upgrades and cycles that have not ended, the oldest first"`
	Duties    []Duty          `json:"duties" doc:"what the leader does for the group, by name; empty while no leader answers"`
	// Backups is the schedule of backups.
	Backups *Backups `json:"backups,omitempty" doc:"the schedule of backups; absent when there is none"`
	// Problems says in words what an operator should look at, the most urgent first; empty when all is well.
	Problems []string `json:"problems" doc:"what an operator should look at, the most urgent first"`
}

// Group is the identity of the group.
type Group struct {
	ID      string    `json:"id" doc:"UUID, empty before the group is founded"`
	Name    string    `json:"name"`
	Epoch   uint32    `json:"epoch"`
	Created time.Time `json:"created,omitzero"`
	Schema  int       `json:"schema,omitempty" doc:"schema of the state that is in force: what is written for the group is of it, or earlier; absent before the group is founded"`
}

// The states of a node's hash, compared with the leader's at the same log index.
const (
	HashEqual   = "equal"   // the same state as the leader
	HashDiffers = "differs" // another state: the node must not serve
	HashPending = "pending" // not both have reached a common checkpoint yet
	HashUnknown = "unknown" // the node or the leader does not answer
)

// Node is one member of the group.
type Node struct {
	Name      string `json:"name"`
	Self      bool   `json:"self" doc:"the node that answers"`
	Role      string `json:"role" doc:"leader, follower, candidate, joining, or unknown"`
	Voter     bool   `json:"voter" doc:"whether its vote counts for the majority"`
	ReadOnly  bool   `json:"readOnly,omitempty" doc:"it serves, and is to have no vote"`
	Reachable bool   `json:"reachable" doc:"whether it answered within a second"`
	Error     string `json:"error,omitempty" doc:"why it did not answer"`
	Version   string `json:"version"`
	Schema    int    `json:"schema" doc:"version of the state's schema that its program has; 0 when it does not answer"`
	Timing    string `json:"timing,omitempty" doc:"its --timing; absent when it does not say"`
	Zone      string `json:"zone"`
	PeerAddr  string `json:"peerAddr"`
	AdminAddr string `json:"adminAddr"`
	// Started tells one process of a node from the next.
	Started time.Time `json:"started,omitzero" doc:"when it was started, or took a new copy of the state, by its own clock; absent when it does not answer"`
	Ready   bool      `json:"ready" doc:"whether it should get traffic"`
	Reason  string    `json:"reason,omitempty" doc:"why it should not"`
	Applied uint64    `json:"applied" doc:"log index up to which its state is"`
	Lag     uint64    `json:"lag" doc:"log entries that it is behind the most advanced node"`
	// ClockSkewMillis is that node's clock minus the clock of the node that answers.
	ClockSkewMillis int64  `json:"clockSkewMillis" doc:"its clock minus that of the node that answers, half the round trip taken off"`
	Revision        uint64 `json:"revision" doc:"the configuration revision that it serves"`
	InForce         uint64 `json:"inForce" doc:"log index of the last change of what is in force that its data plane obeys"`
	Sessions        int    `json:"sessions" doc:"assignments in its table"`
	HashIndex       uint64 `json:"hashIndex" doc:"log index of its state hash"`
	Hash            string `json:"hash" doc:"state hash at that index, 32 hexadecimal digits"`
	HashState       string `json:"hashState" enum:"equal,differs,pending,unknown"`
	// VIP is what it says of the virtual addresses.
	VIP       *VIP        `json:"vip,omitempty" doc:"what it says of the virtual addresses; absent when it has none or does not answer"`
	DNS       *DNSZone    `json:"dns,omitempty" doc:"what it answers DNS for; absent: nothing, or it does not answer"`
	Evacuated *Evacuation `json:"evacuated,omitempty" doc:"absent: it is not evacuated"`
	// Quarantine is why it has taken itself out of service.
	Quarantine *Quarantine `json:"quarantine,omitempty" doc:"why it has taken itself out of service; absent: it has not"`
	Disk       string      `json:"disk,omitempty" doc:"why it should not lead, if that is because of its disk: it does not answer, or is full; absent: it is sound"`
	NoRoom     bool        `json:"noRoom,omitempty" doc:"its disk is full"`
}

// DNSZone is what a node answers DNS for.
type DNSZone struct {
	Zone       string `json:"zone"`
	TTLSeconds int    `json:"ttlSeconds" doc:"how long an answer may be kept"`
}

// Quarantine is why a node has taken itself out of service. It mends that by itself where it can.
type Quarantine struct {
	Cause      string    `json:"cause" doc:"diverged: its state is not the group's; disk-full: it is behind because its disk has no room; stuck: it does not keep up, or can have nothing recorded; differs: its state is not the leader's, and no majority tells which is right"`
	Since      time.Time `json:"since" doc:"by its own clock"`
	Index      uint64    `json:"index" doc:"log index at which it was found"`
	Text       string    `json:"text" doc:"for people, with what to do"`
	Difference string    `json:"difference,omitempty" doc:"what differs first: the key of a session, never its id, or another item; absent while that is not known"`
}

// Duty is something that the leader does for the group. The next leader goes on with it.
type Duty struct {
	Duty   string    `json:"duty"`
	Node   string    `json:"node" doc:"who does it"`
	Since  time.Time `json:"since" doc:"when that node began with it"`
	Last   time.Time `json:"last,omitzero" doc:"when it last looked whether something is due; absent: not yet"`
	Runs   uint64    `json:"runs" doc:"how often that node has looked since then"`
	Error  string    `json:"error,omitempty" doc:"why the last run that failed did so; a duty that fails is tried again"`
	Failed time.Time `json:"failed,omitzero" doc:"when that was; the same as last while the duty fails"`
}

// Failing says whether the last run failed.
func (d Duty) Failing() bool { return d.Error != "" && d.Failed.Equal(d.Last) }

// NodeList is the members of the group.
type NodeList struct {
	Nodes     []Node       `json:"nodes"`
	Holder    *Holder      `json:"holder,omitempty" doc:"who holds the virtual addresses; absent while that was never recorded"`
	Evacuated []Evacuation `json:"evacuated" doc:"the evacuated nodes, also those that are no members now"`
}

// Listener is an address on which every node takes traffic.
type Listener struct {
	Name     string `json:"name"`
	Address  string `json:"address"`
	Protocol string `json:"protocol"`
}

// Cluster is a set of instances that serve the same modules.
type Cluster struct {
	Name      string     `json:"name"`
	Policy    string     `json:"policy"`
	Affinity  string     `json:"affinity"`
	Sessions  int        `json:"sessions" doc:"assignments to its instances"`
	InFlight  int64      `json:"inFlight" doc:"requests that are on their way, over the nodes that answer"`
	Modules   []Module   `json:"modules"`
	Instances []Instance `json:"instances"`
}

// Module is a web application of a cluster.
type Module struct {
	Host        string `json:"host"`
	ContextRoot string `json:"contextRoot"`
	Enabled     bool   `json:"enabled"`
	Admin       string `json:"admin" enum:"enabled,quiescing,stopped" doc:"what the configuration and the quiesces make of it"`
	Sessions    int    `json:"sessions" doc:"from the replicated table"`
	InFlight    int64  `json:"inFlight" doc:"over the nodes that answer"`
}

// The health of an instance over the nodes that answer.
const (
	HealthUp      = "up"      // all say that it is available
	HealthDown    = "down"    // all say that it is not
	HealthPartial = "partial" // they do not agree, or only some of its listeners are available
	HealthUnknown = "unknown" // none says anything
)

// Instance is one application server process.
type Instance struct {
	Name    string   `json:"name"`
	URLs    []string `json:"urls"`
	Admin   string   `json:"admin" enum:"enabled,quiescing,stopped" doc:"what the configuration and the quiesces make of it"`
	Weight  int      `json:"weight"`
	Share   *float64 `json:"share,omitempty" doc:"percent of the cluster's new sessions that it gets now; absent where the load decides; what its agent says counts: none with drain, half of its part with 50%"`
	Backup  bool     `json:"backup,omitempty"`
	Zone    string   `json:"zone"`
	Version string   `json:"version"`
	Health  string   `json:"health" enum:"up,down,partial,unknown"`
	Agent   string   `json:"agent,omitempty" doc:"what its agent (health.agentPort) says of unassigned requests, as the middle one of the nodes that answer has heard it (with three that is a majority): drain, a percentage of its share, or both; no answer, or no word that is known, when what it said last holds; absent while it gets all of its share"`
	// Verdict is the group's, by a majority of the nodes.
	Verdict       string       `json:"verdict" enum:"up,suspect,failed" doc:"the group's verdict, by a majority of the nodes that report"`
	VerdictReason string       `json:"verdictReason,omitempty" doc:"what the nodes that answer find now; when none of them finds anything, what was found when the verdict was made"`
	VerdictSince  time.Time    `json:"verdictSince,omitzero"`
	Registered    bool         `json:"registered,omitempty" doc:"it registered itself and sends heartbeats"`
	Sessions      int          `json:"sessions" doc:"from the replicated table"`
	InFlight      int64        `json:"inFlight" doc:"over the nodes that answer"`
	Nodes         []NodeHealth `json:"nodes" doc:"what each node that answers says"`
	// Certificate is the one of its https listeners that ends first.
	Certificate *InstanceCertificate `json:"certificate,omitempty" doc:"what its https listeners present, the one that ends first, as the nodes that answer have seen it; absent when none has"`
}

// InstanceCertificate is what an instance that ends TLS itself presents.
type InstanceCertificate struct {
	URL     string    `json:"url" doc:"of the listener"`
	Subject string    `json:"subject"`
	Ends    time.Time `json:"ends" doc:"when it, or an issuer of it, expires: from then on no request reaches the listener"`
}

// NodeHealth is what one node says about an instance.
type NodeHealth struct {
	Node     string    `json:"node"`
	Health   string    `json:"health" enum:"up,down,partial"`
	Reason   string    `json:"reason,omitempty"`
	Since    time.Time `json:"since,omitzero"`
	InFlight int64     `json:"inFlight"`
	Waiting  int64     `json:"waiting,omitempty" doc:"requests that wait for a connection (maxConnections)"`
	Suspect  bool      `json:"suspect,omitempty" doc:"checks have failed, but not as many in a row as take it out"`
	Agent    string    `json:"agent,omitempty" doc:"what its agent (health.agentPort) says of unassigned requests: drain, a percentage of its share, or both; no answer, or no word that is known, when what it said last holds; absent while it gets all of its share"`
	Withheld float64   `json:"withheld,omitempty" doc:"the part of its share that it does not get by its agent's word, from 0 to 1; 1 with drain"`
}

// Health is the answer of /healthz and /readyz.
type Health struct {
	Status string `json:"status" enum:"ok,ready"`
}
