package history

import (
	"math"
	"sync"
	"time"
)

// never is the end of an operation without an answer.
const never = math.MaxInt64

// what an operation was.
type what uint8

const (
	answered what = iota // a request that an instance answered
	silent               // a request without an answer
	looked               // the group was asked where the session is
	left                 // an occasion to leave; made for the sessions that it concerns when they are judged
)

// op is one operation on a session. It is small: there are millions of them.
type op struct {
	call, back int64 // nanoseconds since the history began
	session    uint32
	client     uint32
	place      uint16 // 0: none
	what       what
}

// place names an instance.
type place struct{ cluster, instance string }

// occasion lets sessions leave an instance.
type occasion struct {
	place    place // without an instance: all of the cluster
	why      string
	from, to int64
	since    int64 // of sessions that were first answered later alone; 0: of all
}

// session is what is known of one apart from its operations.
type session struct {
	cluster string
	name    string
}

// History is the operations of one run.
type History struct {
	began time.Time

	mu        sync.Mutex
	ops       []op
	names     []string // of instances, by number; the first is no instance
	numbers   map[string]uint16
	sessions  map[int]uint32
	known     []session
	occasions []occasion
	changes   []change
}

// New begins a history: times before now are counted as now.
func New() *History {
	return &History{began: time.Now(), names: []string{""}, numbers: map[string]uint16{}, sessions: map[int]uint32{}}
}

func (h *History) at(t time.Time) int64 { return max(int64(t.Sub(h.began)), 0) }

// number gives the number of an instance's name; the caller has the lock. Beyond 65,535 names, which no run has, it panics.
func (h *History) number(instance string) uint16 {
	if instance == "" {
		return 0
	}
	n, ok := h.numbers[instance]
	if !ok {
		if len(h.names) > math.MaxUint16 {
			panic("BUG: a history with more than 65,535 instances")
		}
		n = uint16(len(h.names))
		h.names, h.numbers[instance] = append(h.names, instance), n
	}
	return n
}

// Session says of which cluster a session is; name is for people. It has to be said before the session's operations.
func (h *History) Session(id int, cluster, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.sessions[id]; !ok {
		h.sessions[id] = uint32(len(h.known))
		h.known = append(h.known, session{cluster, name})
	}
}

func (h *History) add(id, client int, o op, instance string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	number, ok := h.sessions[id]
	if !ok {
		panic("BUG: an operation of a session that the history does not know")
	}
	o.session, o.client, o.place = number, uint32(client), h.number(instance)
	o.back = max(o.back, o.call)
	h.ops = append(h.ops, o)
}

// Answered records that a request of the session, sent by the client at one time, had its answer from the instance by another.
func (h *History) Answered(id, client int, sent, ended time.Time, instance string) {
	h.add(id, client, op{call: h.at(sent), back: h.at(ended), what: answered}, instance)
}

// Silent records a request of the session that had no answer.
func (h *History) Silent(id, client int, sent time.Time) {
	h.add(id, client, op{call: h.at(sent), back: never, what: silent}, "")
}

// Looked records that the group, asked for its newest state between the two times, had the session on the instance, or nowhere (empty).
// A session whose first answer was provisional is nowhere until it is recorded: it is not to be looked for before.
func (h *History) Looked(id, client int, sent, ended time.Time, instance string) {
	h.add(id, client, op{call: h.at(sent), back: h.at(ended), what: looked}, instance)
}

// MayLeave records that sessions of the cluster may leave the instance once between the two times, and why: a quiesce ended, it was removed,
// it fell. Without an instance those of the whole cluster may; a zero end means that it is open.
// The number is for Ends.
func (h *History) MayLeave(cluster, instance, why string, from, to time.Time) (number int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o := occasion{place: place{cluster, instance}, why: why, from: h.at(from), to: never}
	if !to.IsZero() {
		o.to = max(h.at(to), o.from)
	}
	h.occasions = append(h.occasions, o)
	return len(h.occasions) - 1
}

// Lost records that the group lost, between the two times, what it had recorded after an earlier one: sessions of the cluster that were first answered later may be nowhere then.
func (h *History) Lost(cluster, why string, after, from, to time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.occasions = append(h.occasions, occasion{place: place{cluster: cluster}, why: why, from: h.at(from), to: max(h.at(to), h.at(from)), since: max(h.at(after), 1)})
}

// Ends records the end of an open occasion to leave.
func (h *History) Ends(number int, to time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o := &h.occasions[number]
	o.to = max(h.at(to), o.from)
}

// Len is the number of operations on sessions, and of changes and readings of the configuration.
func (h *History) Len() (sessions, configuration int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.ops), len(h.changes)
}
