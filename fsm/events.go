package fsm

import (
	"fmt"
	"slices"
)

// maxEvents is how many events the group keeps.
const maxEvents = 1000

// emit adds an event. Seq, Index and Time are set here; what comes from a configuration is cut to what an event may hold.
func (r *replica) emit(index uint64, e Event) {
	list := *r.events.Load()
	e.Seq, e.Index, e.Time = 1, index, millis(r.now.Load())
	if len(list) > 0 {
		e.Seq = list[len(list)-1].Seq + 1
	}
	e.Cluster, e.Instance, e.Host = clip(e.Cluster, maxNameBytes), clip(e.Instance, maxNameBytes), clip(e.Host, maxNameBytes)
	e.ContextRoot, e.Text = clip(e.ContextRoot, maxPathBytes), clip(e.Text, maxTextBytes)
	e.Actor, e.Node = clip(e.Actor, maxNameBytes), clip(e.Node, maxNameBytes)
	r.items.add(itemSum(itemEvent, appendEvent(nil, &e)))
	// Readers hold the old slice: it is shorter, and what is before its end is not written again.
	list = append(list, e)
	if len(list) > maxEvents {
		r.items.sub(itemSum(itemEvent, appendEvent(nil, &list[0])))
		list = list[1:]
	}
	r.events.Store(&list)
}

// Events lists the events after seq, at most limit of them, oldest first. The slice is the caller's.
func (s *State) Events(after uint64, limit int) []Event {
	list := *s.cur.Load().events.Load()
	i, _ := slices.BinarySearchFunc(list, after, func(e Event, after uint64) int {
		if e.Seq <= after {
			return -1
		}
		return 1
	})
	list = list[i:]
	return slices.Clone(list[:min(len(list), max(limit, 0))])
}

// LastEvent is the Seq of the newest event, 0 for none.
func (s *State) LastEvent() uint64 {
	list := *s.cur.Load().events.Load()
	if len(list) == 0 {
		return 0
	}
	return list[len(list)-1].Seq
}

// describe names a subject for people.
func (s Subject) describe() string {
	if s.IsModule() {
		return fmt.Sprintf("module %s of cluster %s", s.Name(), s.Cluster)
	}
	return fmt.Sprintf("instance %s of cluster %s", s.Name(), s.Cluster)
}

// by names the actor where there is one.
func by(actor string) string {
	if actor == "" {
		return ""
	}
	return " by " + actor
}

// because gives the words behind a colon where there are some.
func because(words string) string {
	if words == "" {
		return ""
	}
	return ": " + words
}

// appendEvent is the canonical form of an event.
func appendEvent(b []byte, e *Event) []byte {
	b = appendU64(b, e.Seq)
	b = appendU64(b, e.Index)
	b = appendTime(b, e.Time)
	b = appendBytes(b, e.Kind)
	b = appendSubject(b, e.Subject)
	b = appendBytes(b, e.Text)
	b = appendBytes(b, e.Actor)
	return appendBytes(b, e.Node)
}

func parseEvent(b []byte) (Event, bool) {
	p := parser{b: b}
	e := Event{Seq: p.u64(), Index: p.u64(), Time: p.time(), Kind: p.string(), Subject: p.subject(), Text: p.string(), Actor: p.string(), Node: p.string()}
	return e, p.done() && e.Seq != 0 && e.Kind != ""
}

func appendSubject(b []byte, s Subject) []byte {
	b = appendBytes(b, s.Cluster)
	b = appendBytes(b, s.Instance)
	b = appendBytes(b, s.Host)
	return appendBytes(b, s.ContextRoot)
}

func (p *parser) subject() Subject {
	return Subject{Cluster: p.string(), Instance: p.string(), Host: p.string(), ContextRoot: p.string()}
}
