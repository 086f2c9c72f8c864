package h1

import (
	"net"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// DetourField is the request field by which the other engine learns the number of a stream (see Director.Detour). What clients send by this name is dropped.
const DetourField = "holdfast-detour"

// Director decides about requests. Its methods run on the goroutine of a loop, several loops at once: they must not block, since everything
// else on that loop waits, and should not allocate. All calls about one connection come from one goroutine.
type Director interface {
	// Accept is told of a connection that a loop has taken from a listener, before anything is read from it. It may set c.Tag. False has it closed
	// at once, without Gone.
	Accept(c *Conn, from net.Listener) bool

	// Direct decides about a whole request head. Forward: t.To is set, and t.Edit says what changes on the way. Away: the other engine takes the
	// connection, with this request. Refuse: the client gets t.Status with t.Page, and no Done follows. Requests with Upgrade, Expect or TE, and
	// those whose target is not a path, go away without being asked about. Wait: nothing happens with the request until Conn.Resume, then Direct is
	// asked again about the same trip; from the first Wait on Done follows whatever the next verdict is.
	Direct(t *Trip) Verdict

	// Interim sees the head of an interim response (1xx) that goes on to the client, and may edit it by e, which holds for this head alone: fields are those of b. Nothing of them may
	// be kept.
	Interim(t *Trip, e *Edits, fields []wire.Field, b []byte)

	// Answer sees the head of the instance's final response (t.Answer, t.AnswerBuf) before a byte of it has left, and may edit it by t.Reply.
	// Forward sends it. Away, only when t.Repeatable and t.Whole: the connection to the instance is closed, and the request goes to the other
	// engine as if it had never been sent. Refuse drops the response: the client gets t.Status with t.Page. Wait: nothing more is read from the
	// instance until Conn.Resume, then Answer is asked again, with the same t.Answer; edits made before stay. How long that may take is the
	// director's to bound.
	Answer(t *Trip) Verdict

	// Failed says that the attempt broke before a head of a final response had come. Away, only when t.Whole or without a connection (FailConnect):
	// the request goes to the other engine. Forward, only when t.Whole: it is sent again, to t.To, with the same edits or new ones (see Edits.Reset). Refuse: the client gets
	// t.Status (502 or 504 when it is 0) with t.Page, and then the connection ends if a part of the request's body is still to come.
	// It is not asked when the client has gone, or has broken its body, before that: only Done follows then, with FailClient. Of a body that does not come in time it is told, with
	// FailClient and wire.BodyTimeout: Refuse with t.Status answers that, anything else has the client get 408 in one line.
	Failed(t *Trip, kind Failure, err error) Verdict

	// Done accounts for the trip, whatever became of it: t.Status, t.Sent, t.Failure and the times. It comes exactly once for each Direct that said
	// Forward or Wait, also before Away of such a request, and then t.Status is 0. t.Head and t.Buf can still be read. Nothing of t may be kept.
	Done(t *Trip)

	// Mux is asked about a connection that begins with the preface of HTTP/2. True: the loop serves it, and asks Direct about each of its streams. False: it goes Away.
	Mux(c *Conn) bool

	// Stream is told of a request of HTTP/2 before it is asked about. s is the Conn of its trip and of nothing else, and may be that of another one later, with the Tag that
	// it had; c is the connection by which it has come. Of s no Gone follows; what Away, of a verdict, has in common with that of a connection is told by Detour.
	Stream(s, c *Conn)

	// Bridge takes over the end of a connection in this process by which streams of c reach the other engine, as HTTP/2 in clear text from the preface on. fd is not blocking and
	// belongs to the receiver. It ends when c does.
	Bridge(c *Conn, fd int)

	// Detour is told that the stream of s goes to the other engine, over the bridge under that number. True: the request gets DetourField with the number, so that the other
	// engine finds what is known of it.
	Detour(s *Conn, number uint32) bool

	// Away takes over a connection that h1 lets go of. fd is no longer in the loop, is not blocking, and belongs to the receiver; rest are the bytes
	// that have been read and belong to requests without an answer, and belongs to the receiver too. It may be empty when the connection was let
	// go by Conn.LetGo. c.Tag may be used on; c itself is over, and no Gone follows.
	Away(c *Conn, fd int, rest []byte)

	// Gone: the connection has ended in the loop, and its descriptor is closed. Exactly once for each that Accept or Adopt brought in, unless it went
	// Away. It may still be called after the client has got its last response for as long as Limits.Linger.
	Gone(c *Conn)
}

// Verdict is what the director says.
type Verdict uint8

// The verdicts.
const (
	Forward Verdict = iota + 1
	Away
	Refuse
	Wait // only Direct and Answer say so
)

// Failure is why a trip did not end well.
type Failure uint8

// The failures. Those up to FailBad are told to Failed; the others come when the response is on its way already, and stand in t.Failure at Done.
const (
	FailNone    Failure = iota
	FailConnect         // no connection to the instance: not a byte of the request has left
	FailReset           // the connection to the instance ended before a whole head of a response had come
	FailTimeout         // no head of a response within t.Timeout
	FailBad             // what the instance sent is no acceptable head of a response
	FailClient          // the client has gone, takes nothing, or broke the framing of its body
	FailCut             // the instance's response broke off, or stalled, or broke its framing, after its head had been sent
	FailClosed          // the engine was closed
	FailEnded           // Engine.End; told to Failed as well when no response has begun, whose verdict counts as Refuse then
)

var failureNames = [...]string{"none", "connect", "reset", "timeout", "bad", "client", "cut", "closed", "ended"}

// String gives one lower-case word.
func (f Failure) String() string {
	if int(f) < len(failureNames) {
		return failureNames[f]
	}
	return "unknown"
}
