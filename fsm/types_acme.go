package fsm

import "time"

// ActorACME is the actor of certificates that the group has obtained itself.
const ActorACME = "acme"

// ACMEValue is a value of the storage that the leader's ACME client has in the replicated state: its account, and the challenges that any node answers.
type ACMEValue struct {
	// Key is a path: components with slashes between them.
	Key string `json:"key"`
	// Sealed is the value, sealed for the key (fsm/certs): accounts have private keys.
	Sealed []byte `json:"sealed"`
	// Modified is the replicated time of the last change.
	Modified time.Time `json:"modified"`
}

// ACMELock is held by the leader that works on something. It ends at Until, in replicated time, or when a later term's leader takes it: the duties of
// a term end with it.
type ACMELock struct {
	Name string `json:"name"`
	// ID is the holder's: whoever knows it may prolong the lock or let it go.
	ID    string    `json:"id"`
	Node  string    `json:"node"`
	Term  uint64    `json:"term"`
	Until time.Time `json:"until"`
}

// ACMEState is what is known of a certificate that the group obtains itself, as long as it is not as it should be.
type ACMEState struct {
	// Certificate is its name.
	Certificate string `json:"certificate"`
	// Failures counts the attempts since the last that succeeded; Error is why the last one failed, At when, and Next when it is tried again.
	Failures int       `json:"failures"`
	Error    string    `json:"error,omitempty"`
	At       time.Time `json:"at,omitzero"`
	Next     time.Time `json:"next,omitzero"`
	// Requested is when an operator asked for another one; zero: nobody did.
	Requested time.Time `json:"requested,omitzero"`
}

// ACMEStore keeps a value under a key, instead of one that is there. CodeInvalid beyond the bounds. Actor is who gives the key of an external account; it is empty for what the client
// keeps by itself, of which there are no events.
type ACMEStore struct {
	Key    string `json:"key"`
	Sealed []byte `json:"sealed"`
	Actor  string `json:"actor,omitempty"`
}

// ACMEDelete drops a key and all keys below it. That there are none is no failure.
type ACMEDelete struct {
	Key string `json:"key"`
}

// ACMELockSet takes a lock, prolongs it, or lets it go when TTL is 0. CodeConflict while somebody else of the same term has it; a lock of an earlier term
// is nobody's.
type ACMELockSet struct {
	Name string        `json:"name"`
	ID   string        `json:"id"`
	Node string        `json:"node"`
	Term uint64        `json:"term"`
	TTL  time.Duration `json:"ttl"` // in nanoseconds; milliseconds count
}

// ACMENote notes how an attempt to obtain a certificate ended. An empty Error is success: nothing is left to say.
type ACMENote struct {
	Certificate string        `json:"certificate"`
	Error       string        `json:"error,omitempty"`
	Pause       time.Duration `json:"pause,omitempty"` // until the next attempt
}

// ACMERenew has the leader obtain a certificate anew at once. CodeAbsent when it is none that the group obtains itself.
type ACMERenew struct {
	RequestID   RequestID `json:"requestId"`
	Certificate string    `json:"certificate"`
	Actor       string    `json:"actor"`
}

func (*ACMEStore) kind() kind   { return kindACMEStore }
func (*ACMEDelete) kind() kind  { return kindACMEDelete }
func (*ACMELockSet) kind() kind { return kindACMELockSet }
func (*ACMENote) kind() kind    { return kindACMENote }
func (*ACMERenew) kind() kind   { return kindACMERenew }

func (c *ACMERenew) request() RequestID { return c.RequestID }

// newACMECommand is newCommand for these; nil for another kind.
func newACMECommand(k kind) Command {
	switch k {
	case kindACMEStore:
		return new(ACMEStore)
	case kindACMEDelete:
		return new(ACMEDelete)
	case kindACMELockSet:
		return new(ACMELockSet)
	case kindACMENote:
		return new(ACMENote)
	case kindACMERenew:
		return new(ACMERenew)
	}
	return nil
}
