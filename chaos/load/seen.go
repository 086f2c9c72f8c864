package load

import (
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/ledger"
)

// Request is one request of a user, with all its attempts, after it has ended.
type Request struct {
	// Session is the user's; its Entry is nil where a new one got no answer.
	Session *Session
	Worker  int // the number of the client, from 1
	// New says that the request was to make a session.
	New bool
	// Due is when it had to be sent: earlier than Sent where the client was not free to do so.
	Due, Sent, Ended time.Time
	// Node and Instance are who answered, empty without an answer.
	Node, Instance string
	// Attempts counts the nodes that were asked and did not give a good answer, Refused those of them that answered with a status of 500 or
	// above.
	Attempts, Refused int
	// Refusal is the last answer with such a status, nil without one: the node, the status, the beginning of its text.
	Refusal error
	// Err is nil for a good answer.
	Err error
}

// status is an answer with another status than 200.
type status int

func (s status) Error() string { return fmt.Sprintf("status %d", int(s)) }

// Due sets when the worker's next request should have been sent: the time for which it has to answer, also when it comes late.
func (w *Worker) Due(t time.Time) { w.due = t }

// opens begins the record of a request.
func (w *Worker) opens(s *Session, fresh bool) Request {
	r := Request{Session: s, Worker: w.number, New: fresh, Due: w.due, Sent: time.Now()}
	w.due = time.Time{}
	if r.Due.IsZero() || r.Due.After(r.Sent) {
		r.Due = r.Sent
	}
	return r
}

// note counts an attempt that failed.
func (r *Request) note(err error) {
	r.Attempts++
	var code status
	if errors.As(err, &code) && code >= 500 {
		r.Refused++
		r.Refusal = err
	}
}

// tell ends the record of a request and tells of it.
func (l *Load) tell(r Request, answer ledger.Answer, err error) {
	if l.options.Seen == nil {
		return
	}
	r.Node, r.Instance, r.Ended, r.Err = answer.Node, answer.Instance, answer.At, err
	if err != nil {
		r.Node, r.Instance, r.Ended = "", "", time.Now()
	}
	l.options.Seen(r)
}
