package fsm

import "time"

// Certificate is what listeners of protocol https present, or believe, under a name. Its private key is sealed (fsm/certs): neither a log nor a snapshot has
// one in clear.
type Certificate struct {
	Name string `json:"name"`
	// Chain is DER: the server's certificate first, then its issuers. Without a Key they are authorities of clients, in no order.
	Chain [][]byte `json:"chain"`
	// Key is the sealed private key; empty: this is a bundle of authorities.
	Key []byte `json:"key,omitempty"`
	// Version is the log index of the last change, Changed the replicated time of it.
	Version uint64    `json:"version"`
	Changed time.Time `json:"changed"`
	Actor   string    `json:"actor,omitempty"`
}

// Authorities tells a bundle of authorities from a certificate of servers.
func (c *Certificate) Authorities() bool { return len(c.Key) == 0 }

// CertificatePut adds a certificate or puts another one in its place. CodeConflict when its version is not Expect any more; CodeInvalid when it is too large,
// or would turn a server's certificate into a bundle of authorities or the other way round.
type CertificatePut struct {
	RequestID RequestID `json:"requestId"`
	// Expect is the version that it replaces; 0: there is none of that name.
	Expect uint64   `json:"expect"`
	Name   string   `json:"name"`
	Chain  [][]byte `json:"chain"`
	Key    []byte   `json:"key,omitempty"`
	Actor  string   `json:"actor"`
}

// CertificateDrop removes a certificate. CodeAbsent when there is none; CodeConflict while a listener of the configuration names it.
type CertificateDrop struct {
	RequestID RequestID `json:"requestId"`
	Name      string    `json:"name"`
	Actor     string    `json:"actor"`
}

// TicketKey is the root of the keys with which every node seals the tickets of TLS sessions, so that any of them resumes what another one began.
type TicketKey struct {
	// ID is the log index at which it came, Since the replicated time of that.
	ID    uint64    `json:"id"`
	Since time.Time `json:"since"`
	// Key is 32 bytes, sealed (fsm/certs).
	Key []byte `json:"key"`
}

// TicketKeyPut puts a new ticket key in force: the leader's, in turn. The newest ones before it are kept, to open tickets. CodeConflict when the newest one is
// not Expect any more (0: there is none).
type TicketKeyPut struct {
	Expect uint64 `json:"expect"`
	Key    []byte `json:"key"`
}

func (*CertificatePut) kind() kind  { return kindCertificatePut }
func (*CertificateDrop) kind() kind { return kindCertificateDrop }
func (*TicketKeyPut) kind() kind    { return kindTicketKeyPut }

func (c *CertificatePut) request() RequestID  { return c.RequestID }
func (c *CertificateDrop) request() RequestID { return c.RequestID }
