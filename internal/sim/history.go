package sim

import (
	"sync"

	"github.com/holdfast-lb/holdfast/fsm"
)

// history is what clients did and were told. Each of them is judged as it comes: an operation notes, when it begins, what has been told to anybody (a floor), and what it is told itself must not be
// behind that. For a register whose versions are numbered, as the configuration's are, and one in which only the owner writes, that is linearizability: an order of all
// operations by their versions exists, and it is the order in real time.
type history struct {
	w *world

	mu    sync.Mutex
	keys  map[fsm.Key]*record
	order []fsm.Key
	top   uint64             // the newest revision that anybody was told
	said  map[uint64]string  // the message of each revision that anybody was told
	wrote map[string]outcome // each message that was proposed
	acked int
	reads int
}

// outcome is what the writer of a revision knows.
type outcome int

const (
	underWay outcome = iota
	done
	refused // nothing was done, by what it was told
	unknown
)

// record is one session. Its states are those that its owner asked for, in their order.
type record struct {
	states []fsm.InstanceID // states[i] is the assignment after the owner's change i
	acked  int              // the newest change that was acknowledged; -1: none
	shared bool             // many clients ask for it at once, and all must be told the same
}

func newHistory(w *world) *history {
	return &history{w: w, keys: map[fsm.Key]*record{}, said: map[uint64]string{}, wrote: map[string]outcome{}}
}

// claim notes that a client asks for an assignment, or its owner for another one.
func (h *history) claim(k fsm.Key, to fsm.InstanceID, shared bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.keys[k]
	if r == nil {
		r = &record{acked: -1, shared: shared}
		h.keys[k] = r
		h.order = append(h.order, k)
	}
	r.states = append(r.states, to)
}

// assigned is that a client was told where its session is.
func (h *history) assigned(who string, k fsm.Key, to fsm.InstanceID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acked++
	r := h.keys[k]
	if r.shared {
		if r.acked >= 0 && r.states[r.acked] != to {
			h.w.violated("%s was told that session %x is on instance %d, others were told %d", who, k[:4], to, r.states[r.acked])
		}
		for i, s := range r.states {
			if s == to {
				r.acked = i
				return
			}
		}
		h.w.violated("%s was told that session %x is on instance %d, which nobody asked for", who, k[:4], to)
		return
	}
	last := len(r.states) - 1
	if r.states[last] != to {
		h.w.violated("%s was told that session %x is on instance %d, and asked for %d", who, k[:4], to, r.states[last])
	}
	r.acked = last
}

// floor is the newest change of a session that anybody was told.
func (h *history) floor(k fsm.Key) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.keys[k].acked
}

// saw judges what a linearizable read, or the end of the run, shows of a session. floor is from before the read.
func (h *history) saw(who string, k fsm.Key, floor int, got fsm.InstanceID, found bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reads++
	r := h.keys[k]
	if !found {
		if floor >= 0 {
			h.w.violated("%s does not find session %x, which a client was told is on instance %d", who, k[:4], r.states[floor])
		}
		return
	}
	if r.shared && floor >= 0 {
		if r.states[floor] != got {
			h.w.violated("%s finds session %x on instance %d, a client was told %d", who, k[:4], got, r.states[floor])
		}
		return
	}
	for _, s := range r.states[max(floor, 0):] {
		if s == got {
			return
		}
	}
	h.w.violated("%s finds session %x on instance %d, which it was on before or never", who, k[:4], got)
}

// pick gives one of the sessions.
func (h *history) pick(c *chance) (k fsm.Key, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.order) == 0 {
		return k, false
	}
	return h.order[c.below(len(h.order))], true
}

// begin notes that a revision is proposed, empty for a read, and gives the floor.
func (h *history) begin(message string) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if message != "" {
		h.wrote[message] = underWay
	}
	return h.top
}

// ended notes what its writer was told, other than the revision's number.
func (h *history) ended(message string, o outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wrote[message] = o
}

// revision judges that somebody was told a revision: as what it wrote, or as what it read.
func (h *history) revision(who string, floor, number uint64, message string, wrote bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if number < floor || wrote && number == floor {
		h.w.violated("%s was told revision %d (%s) after %d had been told", who, number, message, floor)
	}
	if was, known := h.said[number]; known && was != message {
		h.w.violated("%s was told that revision %d is %q, somebody was told %q", who, number, message, was)
	}
	h.said[number] = message
	h.top = max(h.top, number)
	o, proposed := h.wrote[message]
	switch {
	case number == 0:
	case !proposed:
		h.w.violated("%s was told revision %d (%s), which nobody has proposed", who, number, message)
	case o == refused:
		h.w.violated("%s was told revision %d (%s), whose writer was told that nothing was done", who, number, message)
	}
	if wrote {
		h.wrote[message] = done
	}
}

// final judges the state of one node when everything is over.
func (h *history) final(p *process) {
	h.mu.Lock()
	keys := h.order
	h.mu.Unlock()
	for _, k := range keys {
		a, found := p.state.Lookup(k)
		h.saw(p.String()+" at the end", k, h.floor(k), a.Instance, found)
	}
	for _, r := range p.state.Revisions() {
		h.mu.Lock()
		was, known := h.said[r.Number]
		o := h.wrote[r.Message]
		h.mu.Unlock()
		if known && was != r.Message {
			h.w.violated("%v has %q as revision %d, somebody was told %q", p, r.Message, r.Number, was)
		}
		if o == refused {
			h.w.violated("%v has revision %d (%s), whose writer was told that nothing was done", p, r.Number, r.Message)
		}
	}
	if r := p.state.Revision(); r.Number < h.top {
		h.w.violated("%v has revision %d, somebody was told %d", p, r.Number, h.top)
	}
}
