package fsm

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxAddresses bounds the virtual addresses of a record.
const maxAddresses = 64

// Receipt is one line for people: who holds the addresses and who did, when, and what became of the assignments. It is the text of the event.
func (h *Holder) Receipt() string {
	var text string
	switch what := h.addresses(); {
	case h.Node == "" && h.Previous == "":
		text = fmt.Sprintf("No node holds %s", what)
	case h.Node == "":
		text = fmt.Sprintf("No node holds %s any more, node %s did before", what, h.Previous)
	case h.Previous == "":
		text = fmt.Sprintf("Node %s holds %s, no node did before", h.Node, what)
	case h.Previous == h.Node:
		text = fmt.Sprintf("Node %s holds %s again", h.Node, what)
	case h.Planned:
		text = fmt.Sprintf("Node %s holds %s, handed over by node %s", h.Node, what, h.Previous)
	default:
		text = fmt.Sprintf("Node %s holds %s, taken over from node %s", h.Node, what, h.Previous)
	}
	text += fmt.Sprintf(": term %d, index %d", h.Term, h.Index)
	if h.Node != "" {
		text += fmt.Sprintf(", gap %d ms, assignments %d before and %d after", h.Gap.Milliseconds(), h.SessionsBefore, h.SessionsAfter)
	}
	return text + because(h.Reason)
}

// lateReceipt is the line about what is over.
func (h *Holder) lateReceipt() string {
	return strings.Replace(h.Receipt(), " holds ", " held ", 1) + "; noted late, that term is over"
}

// addresses names the virtual addresses, the first few when there are many.
func (h *Holder) addresses() string {
	const most = 4
	if len(h.Addresses) == 0 {
		return "the virtual address"
	}
	text := h.Addresses[0]
	for _, a := range h.Addresses[1:min(most, len(h.Addresses))] {
		text += ", " + a
	}
	if more := len(h.Addresses) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// problem says why it cannot be kept, or nothing.
func (h *Holder) problem() string {
	var k check
	if h.Node != "" {
		k.node(h.Node)
	}
	if h.Previous != "" {
		k.node(h.Previous)
	}
	k.text("the reason", h.Reason)
	switch {
	case h.Term == 0:
		k.failf("the term of the leader is missing")
	case h.Node == "" && h.Reason == "":
		k.failf("no node holds the virtual address, and no reason says why")
	case h.Gap < 0:
		k.failf("a gap of %v is none", h.Gap)
	case h.SessionsBefore < 0 || h.SessionsAfter < 0:
		k.failf("%d assignments before and %d after are no counts", h.SessionsBefore, h.SessionsAfter)
	case len(h.Addresses) > maxAddresses:
		k.failf("%d virtual addresses, at most %d are kept", len(h.Addresses), maxAddresses)
	}
	for _, a := range h.Addresses {
		k.id("a virtual address", a)
	}
	return k.message
}

func (r *replica) holderSet(index uint64, c *HolderSet) Result {
	h := &Holder{Node: c.Node, Since: millis(r.now.Load()), Term: c.Term, Index: index, Previous: c.Previous, Gap: c.Gap, Planned: c.Planned,
		Reason: c.Reason, SessionsBefore: c.SessionsBefore, SessionsAfter: c.SessionsAfter, Addresses: slices.Clip(c.Addresses)}
	if len(h.Addresses) == 0 {
		h.Addresses = nil // nothing has one form
	}
	k := check{message: h.problem()}
	if c.Proposer != "" {
		k.node(c.Proposer)
	}
	if res, refused := k.refused(); refused {
		return res
	}
	h.Gap = h.Gap.Truncate(time.Millisecond)
	if c.Late {
		if h.Node != "" && h.Node == h.Previous && h.Gap == 0 { // it held on, and that is no change
			return Result{}
		}
		r.emit(index, Event{Kind: EventHolder, Text: clip(h.lateReceipt(), maxTextBytes), Node: firstName(c.Proposer, h.Node, h.Previous)})
		return Result{}
	}
	old := r.operating.Load().Holder
	if old != nil {
		if res, refused := h.after(old); refused {
			return res
		}
		if h.Previous == "" {
			h.Previous = old.last()
		}
		if h.sameAs(old) {
			return r.renewHolder(index, old, h)
		}
	}
	r.operate(index, func(o *Operating) { o.Holder = h })
	r.emit(index, Event{Kind: EventHolder, Text: h.Receipt(), Node: firstName(c.Proposer, h.Node, h.Previous)})
	return Result{}
}

// after refuses what comes too late, or from a leader that cannot be one.
func (h *Holder) after(old *Holder) (Result, bool) {
	switch {
	case h.Term < old.Term:
		return Result{Code: CodeConflict, Message: fmt.Sprintf("term %d is over: the holder of the virtual address is recorded as of term %d", h.Term, old.Term)}, true
	case h.Term == old.Term && h.Node != "" && old.Node != "" && h.Node != old.Node:
		return Result{Code: CodeInvalid, Message: fmt.Sprintf("node %s holds the virtual address in term %d: node %s cannot lead in the same term", old.Node, old.Term, h.Node)}, true
	}
	return Result{}, false
}

// last is the node that held the addresses last.
func (h *Holder) last() string { return firstName(h.Node, h.Previous) }

// sameAs tells whether nothing has happened to the addresses: the same node still holds them, or still nobody does and for the same reason.
func (h *Holder) sameAs(old *Holder) bool {
	if h.Node != old.Node || !slices.Equal(h.Addresses, old.Addresses) {
		return false
	}
	if h.Node == "" {
		return h.Reason == old.Reason
	}
	return h.Term == old.Term || h.Gap == 0
}

// renewHolder takes note of a newer term of the same holder: so that an older one's record is refused.
func (r *replica) renewHolder(index uint64, old, h *Holder) Result {
	if h.Term == old.Term {
		return Result{}
	}
	next := *old
	next.Term, next.Index = h.Term, index
	r.operate(index, func(o *Operating) { o.Holder = &next })
	return Result{}
}

// firstName is the first that is not empty.
func firstName(names ...string) string {
	for _, n := range names {
		if n != "" {
			return n
		}
	}
	return ""
}

// appendHolder is the canonical form of the holder.
func appendHolder(b []byte, h *Holder) []byte {
	b = appendBytes(b, h.Node)
	b = appendTime(b, h.Since)
	b = appendU64(b, h.Term)
	b = appendU64(b, h.Index)
	b = appendBytes(b, h.Previous)
	b = appendU64(b, uint64(h.Gap.Milliseconds()))
	b = append(b, 0)
	if h.Planned {
		b[len(b)-1] = 1
	}
	b = appendBytes(b, h.Reason)
	b = appendU64(b, uint64(h.SessionsBefore))
	b = appendU64(b, uint64(h.SessionsAfter))
	b = appendU32(b, uint32(len(h.Addresses)))
	for _, a := range h.Addresses {
		b = appendBytes(b, a)
	}
	return b
}

// maxMillis is the longest time.Duration in whole milliseconds.
const maxMillis = uint64(1<<63-1) / uint64(time.Millisecond)

func parseHolder(b []byte) (*Holder, bool) {
	p := parser{b: b}
	h := &Holder{Node: p.string(), Since: p.time(), Term: p.u64(), Index: p.u64(), Previous: p.string()}
	gap, planned := p.u64(), p.u8()
	h.Reason = p.string()
	before, after := p.u64(), p.u64()
	for n := p.u32(); n > 0 && !p.bad; n-- {
		h.Addresses = append(h.Addresses, p.string())
	}
	if !p.done() || gap > maxMillis || planned > 1 || before > 1<<62 || after > 1<<62 {
		return nil, false
	}
	h.Gap, h.Planned, h.SessionsBefore, h.SessionsAfter = time.Duration(gap)*time.Millisecond, planned == 1, int(before), int(after)
	return h, h.problem() == ""
}
