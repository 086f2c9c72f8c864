package wire

import "time"

// Holder is what the group knows of who holds its virtual addresses: the last change, as the new holder recorded it.
type Holder struct {
	Node           string    `json:"node" doc:"who holds the virtual addresses; empty: no node does, reason says why"`
	Since          time.Time `json:"since" doc:"replicated time since which it holds them without a gap"`
	Term           uint64    `json:"term" doc:"Raft term of the leader that said so"`
	Index          uint64    `json:"index" doc:"log index of that"`
	Addresses      []string  `json:"addresses" doc:"as in 10.0.0.100/24@eth0"`
	Previous       string    `json:"previous,omitempty" doc:"who held them before"`
	GapMillis      int64     `json:"gapMillis" doc:"for how long nobody answered for them, as the new holder knows it"`
	Planned        bool      `json:"planned" doc:"they were handed over, not taken over"`
	Reason         string    `json:"reason,omitempty"`
	SessionsBefore int       `json:"sessionsBefore" doc:"assignments before the change"`
	SessionsAfter  int       `json:"sessionsAfter" doc:"assignments after it"`
	Receipt        string    `json:"receipt" doc:"all of this in one line for people, as in the event"`
}

// VIP is what one node says of the virtual addresses.
type VIP struct {
	Addresses   []string `json:"addresses" doc:"that it was started with"`
	Holds       bool     `json:"holds" doc:"it has them now"`
	Prepared    bool     `json:"prepared,omitempty" doc:"it has them silently, ready to take over from the holder"`
	Eligible    bool     `json:"eligible" doc:"it may be given them"`
	Reason      string   `json:"reason,omitempty" doc:"why it may not"`
	Conflict    string   `json:"conflict,omitempty" doc:"who else on the link claims one of them, and which"`
	Connections int      `json:"connections" doc:"clients' connections to them that it has open"`
	Warnings    []string `json:"warnings,omitempty" doc:"why clients may not find addresses where the node would hold them, or find them there for too long"`
}

// Evacuation keeps a node from holding the virtual addresses, and from leading, until it is taken back.
type Evacuation struct {
	Node   string    `json:"node"`
	Since  time.Time `json:"since" doc:"replicated time"`
	Actor  string    `json:"actor" doc:"who did it"`
	Reason string    `json:"reason,omitempty"`
	Member bool      `json:"member" doc:"whether the group has a node of that name now; the evacuation stays either way"`
}

// EvacuationRequest evacuates a node.
type EvacuationRequest struct {
	Reason string `json:"reason,omitempty" maxLength:"512" doc:"why; status and events show it"`
}

// Transferred is the answer to a transfer: who leads and holds now.
type Transferred struct {
	Leader string  `json:"leader"`
	Term   uint64  `json:"term"`
	Holder *Holder `json:"holder,omitempty" doc:"absent while no holder was ever recorded"`
}
