package lb

import (
	"fmt"
	"sync"
)

// errEnded is the answer to a request that was in flight when its instance's hardTimeout was over.
var errEnded = fmt.Errorf("%w: the instance was stopped, and the time for what it still had in flight is over", errUnavailable)

// ending is how a request of net/http, a stream or a flow is ended from outside.
type ending struct {
	mu    sync.Mutex
	on    *instanceState // that has it now; nil: none
	over  bool           // it has been ended, once and for all: it goes to no other instance
	by    func()         // what ends it; nil: the end of the attempt that is under way
	sends bool           // its response is on its way to the client, who may take nothing

	prev, next *exchange // on the roster; guarded by its lock
}

// roster lists what an instance has in flight by net/http. What the loops have for it is found on the loops, so that it costs them nothing.
type roster struct {
	mu    sync.Mutex
	first *exchange
}

func (l *roster) add(x *exchange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if x.ending.next = l.first; l.first != nil {
		l.first.ending.prev = x
	}
	l.first = x
}

func (l *roster) remove(x *exchange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := &x.ending
	if e.prev == nil {
		l.first = e.next
	} else {
		e.prev.ending.next = e.next
	}
	if e.next != nil {
		e.next.ending.prev = e.prev
	}
	e.prev, e.next = nil, nil
}

func (l *roster) list() (all []*exchange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for x := l.first; x != nil; x = x.ending.next {
		all = append(all, x)
	}
	return all
}

// begins notes that the instance has the request from now on. The error says that the request has been ended.
func (x *exchange) begins(in *instanceState) error {
	x.ending.mu.Lock()
	defer x.ending.mu.Unlock()
	if x.ending.over {
		return errEnded
	}
	x.ending.on = in
	in.roster.add(x)
	return nil
}

// leaves takes that back.
func (x *exchange) leaves(in *instanceState) {
	x.ending.mu.Lock()
	defer x.ending.mu.Unlock()
	x.ending.on = nil
	in.roster.remove(x)
}

// end ends the request if that instance has it still, and tells whether it did.
func (x *exchange) end(in *instanceState) bool {
	x.ending.mu.Lock()
	if x.ending.on != in || x.ending.over {
		x.ending.mu.Unlock()
		return false
	}
	x.ending.over = true
	by := x.ending.by
	x.ending.mu.Unlock()
	if by == nil {
		by = x.cut
	}
	by()
	return true
}

// cut ends the attempt, and the write to a client who does not take what has come of its response.
func (x *exchange) cut() {
	x.deliver.wait.end()
	x.ending.mu.Lock()
	defer x.ending.mu.Unlock()
	if x.ending.sends { // with the lock held: after its handler nobody may touch a response
		x.endSend()
	}
}

// beginsSending notes that the response leaves from now on. The error says that the request has been ended.
func (x *exchange) beginsSending() error {
	x.ending.mu.Lock()
	defer x.ending.mu.Unlock()
	if x.ending.over {
		return errEnded
	}
	x.ending.sends = true
	return nil
}

// endsSending takes that back.
func (x *exchange) endsSending() {
	x.ending.mu.Lock()
	defer x.ending.mu.Unlock()
	x.ending.sends = false
}

// endBy says what ends the request from now on. It is called at once when the request has been ended already.
func (x *exchange) endBy(f func()) {
	x.ending.mu.Lock()
	x.ending.by = f
	over := x.ending.over
	x.ending.mu.Unlock()
	if over {
		f()
	}
}

// ended tells whether it has been ended.
func (x *exchange) ended() bool {
	x.ending.mu.Lock()
	defer x.ending.mu.Unlock()
	return x.ending.over
}

// noteEnded has the log say so, whatever the end looked like from inside.
func (x *exchange) noteEnded() {
	if x.ended() {
		x.problem = errEnded.Error()
	}
}
