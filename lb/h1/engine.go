package h1

import (
	"context"
	"net"
)

// Engine is a set of loops. Make it with New.
type Engine struct{ core }

// Listener is a listener whose connections the loops take.
type Listener struct{ listening }

// New starts the loops; Close ends them. The error is a wrong option, a lack of descriptors, or ErrNoEngine on systems other than Linux.
func New(o Options) (*Engine, error) { return newEngine(o) }

// Listen has the loops accept from ln, which must be a *net.TCPListener or have a SyscallConn that leads to a listening TCP socket. ln stays its owner's: closing
// it has to come after Stop. Director.Accept is given ln.
func (e *Engine) Listen(ln net.Listener) (*Listener, error) { return e.listen(ln) }

// Stop returns when no loop accepts from the listener any more. What waits in its queue is left there. A second call does nothing.
func (l *Listener) Stop() { l.stop() }

// Adoption is a connection that a loop is to have: one that was accepted elsewhere or comes back from Director.Away.
type Adoption struct {
	FD    int         // a connected TCP socket without blocking; the engine's from Adopt on, whatever comes of it
	TLS   *Secured    // nil in clear text. FD is its socket then, and nobody else uses it
	Rest  []byte      // content that was read already and belongs to requests without an answer; not kept by the caller
	Fresh bool        // it has had no request yet
	HTTP2 bool        // it speaks HTTP/2 from its first byte on, as TLS has settled
	Tag   any         // as Conn.Tag
	Setup func(*Conn) // if not nil, is called with the new Conn on the loop before anything else happens on it
}

// Adopt gives a connection to a loop. The error says that the engine is closed; then the socket is closed too.
func (e *Engine) Adopt(a Adoption) error { return e.adopt(a) }

// End ends the requests under way that chosen picks, one by one, and returns how many those were; the other requests of a loop go on. chosen is called on the loops,
// several at once. A client that has got nothing of a response gets that of a refusal, by Director.Failed, and then its connection ends; otherwise the connection
// ends at once. Trips that wait in Director.Direct, and refusals on their way to the client, are not asked about. The error is ErrClosed.
func (e *Engine) End(chosen func(*Trip) bool) (int, error) { return e.end(chosen) }

// Close stops accepting, lets the requests under way finish until ctx ends, closes everything and ends the loops. The error is ctx's when it came first.
func (e *Engine) Close(ctx context.Context) error { return e.close(ctx) }
