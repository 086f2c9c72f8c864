package h1

import (
	"time"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// Trip is one request on its way. It belongs to its connection while the request is under way and is used again afterwards: nothing of it may be
// kept after Done, nor after Direct said anything but Forward.
type Trip struct {
	Conn *Conn

	Head *wire.Head // the request's head
	Buf  []byte     // what Head's spans refer to: the head, and what of the body (and of requests after it) has come with it

	Answer    *wire.Answer // the head of the final response, nil until Director.Answer
	AnswerBuf []byte       // what Answer's spans refer to; holds only during Director.Answer

	// Of the director.
	To         *Origin       // where to
	Edit       Edits         // changes to the request's head
	Reply      Edits         // changes to the response's head
	Repeatable bool          // the request may go to the other engine after the instance has had it, see Director.Answer
	Timeout    time.Duration // for the head of the response, from when the request is handed over; 0: no limit
	Page       []byte        // content of the response to a refusal; not kept, not changed
	PageType   string        // its Content-Type; "" means text/plain; charset=utf-8
	Note       any           // whatever the director wants to find again at Answer, Failed and Done; nil at Direct

	// Status is that of the response which the client gets; of a refusal the director sets it. 0: none.
	Status int
	// Whole says that the request has no body or that all of it is in Buf, so that it can be sent again.
	Whole bool
	// Reused says that the present attempt has a connection that was kept: an end before the first byte of an answer may then only mean that the
	// instance had closed it for idleness (RFC 9112 section 9.5).
	Reused bool
	// Left says that a byte of the present attempt was given to the kernel for the instance.
	Left bool
	// Heard says that a byte of an answer to the present attempt has come.
	Heard bool
	// Attempts is how many times the request was given to an origin, the present one included.
	Attempts int

	Failure Failure // of the trip, at Done
	Err     error   // the error behind it, if any

	Began    time.Duration // when the head was complete, by Now
	Handed   time.Duration // when the present attempt's head was given to the kernel for the instance
	Answered time.Duration // when the head of the final response was complete
	Sent     int64         // bytes of the response's content that were given to the kernel for the client
	Received int64         // bytes of the request's content that have been read
}

var processStart = time.Now()

// Now is a monotonic clock for the times of a Trip: it counts from the start of the process.
func Now() time.Duration { return time.Since(processStart) }

// reset makes the trip ready for the next request of c. It names each field: to make the whole anew would copy the edits.
func (t *Trip) reset(c *Conn) {
	t.Conn = c
	t.Head, t.Buf, t.Answer, t.AnswerBuf = nil, nil, nil, nil
	t.To, t.Repeatable, t.Timeout, t.Page, t.PageType, t.Note = nil, false, 0, nil, "", nil
	t.Edit.Reset()
	t.Reply.Reset()
	t.Status, t.Whole, t.Reused, t.Left, t.Heard, t.Attempts = 0, false, false, false, false, 0
	t.Failure, t.Err = FailNone, nil
	t.Began, t.Handed, t.Answered, t.Sent, t.Received = 0, 0, 0, 0, 0
}
