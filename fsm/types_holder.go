package fsm

import "time"

// Holder is what the group knows of who holds its virtual addresses: the last record of it, with how the addresses came there.
type Holder struct {
	// Node is empty while no node holds them.
	Node string `json:"node"`
	// Since is the replicated time from which on Node has held them without a gap, or nobody has.
	Since time.Time `json:"since"`
	// Term is the Raft term of the leader that said so, Index the log index of that.
	Term  uint64 `json:"term"`
	Index uint64 `json:"index"`
	// Previous is the node that held them before; empty when no node ever did.
	Previous string `json:"previous,omitempty"`
	// Gap is for how long nobody answered for the addresses, as the new holder knows it; precision: 1 ms.
	Gap time.Duration `json:"gap"`
	// Planned: they were handed over, not taken over.
	Planned bool   `json:"planned,omitempty"`
	Reason  string `json:"reason,omitempty"`
	// SessionsBefore and SessionsAfter are the assignments in the table before the change and after it.
	SessionsBefore int `json:"sessionsBefore"`
	SessionsAfter  int `json:"sessionsAfter"`
	// Addresses are the virtual addresses, as in 10.0.0.100/24@eth0.
	Addresses []string `json:"addresses,omitempty"`
}

// Evacuation keeps a node from holding the virtual addresses, and from leading, until it is cleared. It is of a name: it stays when the node leaves
// the group, and holds for one of that name that comes back.
type Evacuation struct {
	Node   string    `json:"node"`
	Since  time.Time `json:"since"`
	Actor  string    `json:"actor"`
	Reason string    `json:"reason,omitempty"`
}

// HolderSet records who holds the virtual addresses: the leader's, in its term. CodeConflict when a newer term's is recorded; CodeInvalid when another
// node holds them in the same term, which has one leader. What is recorded already is a success and no second event.
type HolderSet struct {
	// RequestID has it take effect once, whoever sends it again; none: what it says decides.
	RequestID RequestID `json:"requestId,omitzero"`
	// Late: its term is over, and nobody could note it then. It is an event and changes nothing else, whatever is recorded meanwhile; any node proposes it.
	Late bool `json:"late,omitempty"`
	// Node is the holder, empty for nobody; then Reason says why.
	Node string `json:"node,omitempty"`
	// Previous is who held them before; empty: whom the state knows as that.
	Previous string `json:"previous,omitempty"`
	Term     uint64 `json:"term"`
	// Gap, Planned, Reason and the sessions are those of Holder. What Gap has below 1 ms is dropped.
	Gap            time.Duration `json:"gap,omitempty"`
	Planned        bool          `json:"planned,omitempty"`
	Reason         string        `json:"reason,omitempty"`
	SessionsBefore int           `json:"sessionsBefore,omitempty"`
	SessionsAfter  int           `json:"sessionsAfter,omitempty"`
	// Addresses are at most 64.
	Addresses []string `json:"addresses,omitempty"`
	// Proposer is the node that proposes it; empty: Node, or Previous.
	Proposer string `json:"proposer,omitempty"`
}

func (c *HolderSet) request() RequestID { return c.RequestID }

// EvacuationSet has a node neither hold the virtual addresses nor lead from now on. Whether there is such a node is not known here. For one that is
// evacuated it changes actor and reason; Since stays.
type EvacuationSet struct {
	RequestID RequestID `json:"requestId"`
	Node      string    `json:"node"`
	Actor     string    `json:"actor"`
	Reason    string    `json:"reason,omitempty"`
}

// EvacuationClear ends it. CodeAbsent when the node is not evacuated.
type EvacuationClear struct {
	RequestID RequestID `json:"requestId"`
	Node      string    `json:"node"`
	Actor     string    `json:"actor"`
}
