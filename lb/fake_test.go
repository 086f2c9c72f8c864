package lb

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// fakeGroup is a group in memory: one table with a log index, and nodes that follow it.
type fakeGroup struct {
	mu      sync.Mutex
	index   uint64
	table   map[fsm.Key]fsm.Assignment
	ids     map[fsm.InstanceRef]fsm.InstanceID
	rev     *fsm.Revision
	group   *fsm.Group
	changed chan struct{}
	quorum  bool
	leader  chan struct{} // closed while there is a leader
	hold    chan struct{} // when set, Record waits for it to be closed
	now     time.Time
	ops     []fsm.SessionOp
	syncs   int
	record  func(fsm.SessionOp) // called before an operation is applied, without the lock
}

func newFakeGroup(c *config.Config) *fakeGroup {
	g := &fakeGroup{
		table: map[fsm.Key]fsm.Assignment{}, ids: map[fsm.InstanceRef]fsm.InstanceID{}, quorum: true,
		group:   &fsm.Group{ID: "g", Name: "test", Epoch: 1, Secret: []byte("0123456789abcdef0123456789abcdef")},
		changed: make(chan struct{}), leader: make(chan struct{}), rev: &fsm.Revision{Config: &config.Config{}}, now: time.Now(),
	}
	close(g.leader)
	g.apply(c)
	return g
}

func (g *fakeGroup) apply(c *config.Config) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.index++
	for _, cl := range c.Clusters {
		for _, in := range cl.Instances {
			ref := fsm.InstanceRef{Cluster: cl.Name, Instance: in.Name}
			if g.ids[ref] == 0 {
				g.ids[ref] = fsm.InstanceID(len(g.ids) + 1)
			}
		}
	}
	g.rev = &fsm.Revision{Number: g.rev.Number + 1, Index: g.index, Config: c}
	close(g.changed)
	g.changed = make(chan struct{})
}

func (g *fakeGroup) with(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

// elect takes the leader away, or brings one back.
func (g *fakeGroup) elect(has bool) {
	g.with(func() {
		if has {
			close(g.leader)
		} else {
			g.leader = make(chan struct{})
		}
	})
}

func (g *fakeGroup) count(kind fsm.OpKind) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, op := range g.ops {
		if op.Kind == kind {
			n++
		}
	}
	return n
}

func (g *fakeGroup) sessions() map[fsm.Key]fsm.Assignment {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.table)
}

func (g *fakeGroup) id(cluster, instance string) fsm.InstanceID {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ids[fsm.InstanceRef{Cluster: cluster, Instance: instance}]
}

func (g *fakeGroup) applyOp(op fsm.SessionOp) fsm.SessionResult {
	g.index++
	g.ops = append(g.ops, op)
	seen := uint32(g.now.Unix() - fsm.SeenEpoch)
	a, ok := g.table[op.Key]
	res := fsm.SessionResult{Index: g.index}
	switch {
	case op.Kind == fsm.OpAssign && ok:
		res.Code = fsm.CodeExists
	case op.Kind == fsm.OpAssign:
		a = fsm.Assignment{Instance: op.Instance, Seen: seen}
	case op.Kind == fsm.OpTouch && !ok, op.Kind == fsm.OpMove && !ok && op.Expect != 0:
		res.Code = fsm.CodeAbsent
		return res
	case op.Kind == fsm.OpTouch:
		a.Seen = seen
	case op.Kind == fsm.OpMove && a.Instance != op.Expect && a.Instance != op.Instance:
		res.Code = fsm.CodeMismatch
	case op.Kind == fsm.OpMove:
		a = fsm.Assignment{Instance: op.Instance, Seen: seen}
	}
	g.table[op.Key] = a
	res.Instance = a.Instance
	return res
}

// fakeNode is one node's View and Recorder.
type fakeNode struct {
	g *fakeGroup

	mu     sync.Mutex
	frozen bool // the node is behind: it sees what was there when it froze
	table  map[fsm.Key]fsm.Assignment
	index  uint64
	cut    bool // the node has no quorum, whatever the group has
}

func (g *fakeGroup) node() *fakeNode { return &fakeNode{g: g} }

func (n *fakeNode) freeze() {
	n.g.mu.Lock()
	defer n.g.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.frozen, n.table, n.index = true, maps.Clone(n.g.table), n.g.index
}

func (n *fakeNode) setCut(cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut = cut
}

func (n *fakeNode) state() (frozen, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.frozen, n.cut
}

func (n *fakeNode) Applied() uint64 {
	if frozen, _ := n.state(); frozen {
		return n.index
	}
	n.g.mu.Lock()
	defer n.g.mu.Unlock()
	return n.g.index
}

func (n *fakeNode) Now() time.Time {
	n.g.mu.Lock()
	defer n.g.mu.Unlock()
	return n.g.now
}

func (n *fakeNode) Lookup(k fsm.Key) (fsm.Assignment, bool) {
	if frozen, _ := n.state(); frozen {
		a, ok := n.table[k]
		return a, ok
	}
	n.g.mu.Lock()
	defer n.g.mu.Unlock()
	a, ok := n.g.table[k]
	return a, ok
}

func (n *fakeNode) Revision() *fsm.Revision {
	n.g.mu.Lock()
	defer n.g.mu.Unlock()
	return n.g.rev
}

func (n *fakeNode) Group() *fsm.Group {
	n.g.mu.Lock()
	defer n.g.mu.Unlock()
	return n.g.group
}

func (n *fakeNode) InstanceID(cluster, instance string) (fsm.InstanceID, bool) {
	id := n.g.id(cluster, instance)
	return id, id != 0
}

func (n *fakeNode) InstanceRef(id fsm.InstanceID) (fsm.InstanceRef, bool) {
	n.g.mu.Lock()
	defer n.g.mu.Unlock()
	for ref, i := range n.g.ids {
		if i == id {
			return ref, true
		}
	}
	return fsm.InstanceRef{}, false
}

func (n *fakeNode) changed() <-chan struct{} {
	n.g.mu.Lock()
	defer n.g.mu.Unlock()
	return n.g.changed
}

func (n *fakeNode) Quorum() bool {
	_, cut := n.state()
	n.g.mu.Lock()
	defer n.g.mu.Unlock()
	return n.g.quorum && !cut
}

var errFakeNoQuorum = errors.New("fake: no quorum")

func (n *fakeNode) Record(ctx context.Context, op fsm.SessionOp) (fsm.SessionResult, error) {
	if !n.Quorum() {
		return fsm.SessionResult{}, errFakeNoQuorum
	}
	var leader, hold chan struct{}
	var hook func(fsm.SessionOp)
	n.g.with(func() { leader, hold, hook = n.g.leader, n.g.hold, n.g.record })
	if hook != nil {
		hook(op)
	}
	for _, gate := range []chan struct{}{leader, hold} {
		if gate == nil {
			continue
		}
		select {
		case <-gate:
		case <-ctx.Done():
			return fsm.SessionResult{}, ctx.Err()
		}
	}
	n.g.mu.Lock()
	defer n.g.mu.Unlock()
	return n.g.applyOp(op), nil
}

func (n *fakeNode) Sync(ctx context.Context) error {
	if !n.Quorum() {
		return errFakeNoQuorum
	}
	n.g.with(func() { n.g.syncs++ })
	n.mu.Lock()
	defer n.mu.Unlock()
	n.frozen = false
	return nil
}
