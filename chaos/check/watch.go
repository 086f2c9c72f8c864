package check

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// View is what one node sees, by its own word.
type View struct {
	Node string
	// Error says why it gave no answer; the other fields are empty then.
	Error string
	Ready bool
	// Reason says why it is not ready.
	Reason string
	// Leader is who leads, as far as the node knows; Quorum says that it can reach a majority.
	Leader string
	Quorum bool
	// HasAddress says that the node was given virtual addresses to hold, Holds that it has them now.
	HasAddress, Holds bool
	Term, Applied     uint64
	Revision          uint64
	// Started tells one process of the node from the next, and from before it took a new copy of the state; zero: it does not say.
	Started time.Time
	// Epoch is that of the group: a promotion begins a new one with another state at the index where the old one ended.
	Epoch uint32
	// Hash is the hash of its state at HashIndex.
	Hash      string
	HashIndex uint64
	// Wrong says what the node has found out about its own state: that it is not the group's; empty: nothing. It mends that by itself, so the end of a run does not show it.
	Wrong string
	// Pending counts its assignments that no majority has recorded yet; -1: it did not say.
	Pending int
}

// leads says that the node is the leader by its own word: a follower may name one that has just died.
func (v View) leads() bool { return v.Error == "" && v.Quorum && v.Leader == v.Node }

// position is how far somebody has seen the group.
type position struct{ applied, term, revision uint64 }

// life is one process of a node, and the index that it has applied.
type life struct {
	started time.Time
	applied uint64
}

// Watch keeps what was seen of the group over the run, as far as it breaks a promise.
type Watch struct {
	mu     sync.Mutex
	looks  int
	nodes  map[string]position
	lives  map[string]life // the last of each node
	users  map[string]position
	hashes map[point]hash
	found  map[string]string // what each node last said of its own state
	given  bool              // some node has said that it may hold an address
	shared time.Time         // since when two nodes hold the address; zero: they do not
	back   verdict
	split  verdict
	twice  verdict
}

type hash struct{ node, value string }

// point is a place in the group's history.
type point struct {
	epoch uint32
	index uint64
}

// keptHashes bounds how many indexes hashes are kept of.
const keptHashes = 100_000

// leaseBound is the longest that the address may be on two nodes: a holder that is cut off drops it when its lease ends. The nodes are asked
// one after the other, so what two of them said need not have been so at one time.
const leaseBound = 2 * time.Second

// NewWatch gives a watch that has seen nothing.
func NewWatch() *Watch {
	return &Watch{nodes: map[string]position{}, lives: map[string]life{}, users: map[string]position{}, hashes: map[point]hash{}, found: map[string]string{}}
}

// See notes what the nodes say at one time, and tells who leads and who holds the address, empty for nobody, by their own words. Of several who say
// that they lead, the one of the highest term does.
func (w *Watch) See(at time.Time, views []View) (leader, holder string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	term := uint64(0)
	var holders []string
	for _, v := range views {
		if v.Error != "" {
			continue
		}
		// The last index that a node has applied is on its disk only as far as it is needed, so a node that was killed may come back a
		// little behind itself: its index only goes up as long as one process lives. What it never forgets is its term.
		w.lived(v)
		w.nodes[v.Node] = w.forward("node "+v.Node+" says for itself", w.nodes[v.Node], position{term: v.Term})
		w.hash(v)
		w.wrong(v)
		if v.leads() && v.Term >= term {
			leader, term = v.Node, v.Term
		}
		w.given = w.given || v.HasAddress
		if v.Holds {
			holders = append(holders, v.Node)
		}
	}
	switch {
	case len(holders) < 2:
		w.shared = time.Time{}
	case w.shared.IsZero():
		w.shared = at
	case at.Sub(w.shared) > leaseBound:
		w.twice.breaks("%v have held the virtual address together for %s", holders, at.Sub(w.shared).Round(time.Millisecond))
		w.shared = at
	}
	if len(holders) > 0 {
		holder = holders[0]
		if slices.Contains(holders, leader) {
			holder = leader
		}
	}
	return leader, holder
}

// addressed says whether some node was given a virtual address.
func (w *Watch) addressed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.given
}

// Read notes how far a client has seen the group by an answer that is the newest state: later such answers to it may not be behind.
func (w *Watch) Read(client string, applied, term, revision uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.users[client] = w.forward(client+" was told", w.users[client], position{applied, term, revision})
}

// lived notes where a node's index is behind what the same process has said.
func (w *Watch) lived(v View) {
	now, before := life{v.Started, v.Applied}, w.lives[v.Node]
	if !now.started.IsZero() && now.started.Equal(before.started) && now.applied < before.applied {
		w.back.breaks("node %s says for itself index %d after %d, in one life", v.Node, now.applied, before.applied)
		now.applied = before.applied
	}
	w.lives[v.Node] = now
}

// forward notes where the second position is behind the first, and gives the further of both.
func (w *Watch) forward(who string, from, to position) position {
	next := from
	for _, p := range []struct {
		what string
		a, b uint64
		to   *uint64
	}{{"index", from.applied, to.applied, &next.applied}, {"term", from.term, to.term, &next.term}, {"revision", from.revision, to.revision, &next.revision}} {
		if p.b < p.a && p.b != 0 {
			w.back.breaks("%s %s %d after %d", who, p.what, p.b, p.a)
		}
		*p.to = max(p.a, p.b)
	}
	return next
}

// hash notes the state of a node.
func (w *Watch) hash(v View) {
	if v.Hash == "" || v.HashIndex == 0 {
		return
	}
	at := point{v.Epoch, v.HashIndex}
	before, known := w.hashes[at]
	switch {
	case !known:
		if len(w.hashes) >= keptHashes {
			clear(w.hashes)
		}
		w.hashes[at] = hash{v.Node, v.Hash}
	case before.value != v.Hash:
		w.split.breaks("at index %d the state of node %s is %s, that of node %s is %s", v.HashIndex, before.node, short(before.value), v.Node, short(v.Hash))
	}
}

// wrong notes once what a node has found out about its own state.
func (w *Watch) wrong(v View) {
	if v.Wrong != "" && v.Wrong != w.found[v.Node] {
		w.split.breaks("node %s has another state than the others, by its own word: %s", v.Node, v.Wrong)
	}
	w.found[v.Node] = v.Wrong
}

func short(hash string) string { return fmt.Sprintf("%.12s", hash) }

// state gives what was found so far, and by how many looks.
func (w *Watch) state(which func(*Watch) *verdict) (v verdict, looks int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v = *which(w)
	v.violations = slices.Clone(v.violations)
	return v, w.looks
}
