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
	oper    *fsm.Operating
	group   *fsm.Group
	behind  bool // every listener in clear text becomes one with TLS, see behindTLS
	changed chan struct{}
	quorum  bool
	leader  chan struct{} // closed while there is a leader
	hold    chan struct{} // when set, Record waits for it to be closed
	now     time.Time
	ops     []fsm.SessionOp
	syncs   int
	synced  func()                   // called by each Sync, with the lock
	record  func(fsm.SessionOp)      // called before an operation is applied, without the lock
	lose    func(fsm.SessionOp) bool // called after it was applied, without the lock: whether its outcome never comes
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
	if g.behind {
		c = withTLS(c)
	}
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
	was := enabled(g.rev.Config)
	g.rev = &fsm.Revision{Number: g.rev.Number + 1, Index: g.index, Config: c}
	g.operateLocked(func(o *fsm.Operating) {
		o.Revision, o.Config = g.rev, c
		is := enabled(c)
		var run []fsm.Quiesce
		for _, q := range o.Quiesces { // those of what is gone or enabled again are over
			if on, there := is[q.Subject]; there && !on {
				run = append(run, q)
			}
		}
		for s, on := range is {
			if was[s] && !on {
				run = append(run, fsm.Quiesce{ID: g.index, Subject: s, Started: g.now, Deadline: g.now.Add(time.Hour), Revision: g.rev.Number})
			}
		}
		o.Quiesces = run
	})
}

// enabled tells for each instance and module of a configuration whether it is.
func enabled(c *config.Config) map[fsm.Subject]bool {
	on := map[fsm.Subject]bool{}
	for _, cl := range c.Clusters {
		for _, in := range cl.Instances {
			on[fsm.Subject{Cluster: cl.Name, Instance: in.Name}] = in.Enabled
		}
		for _, m := range cl.Modules {
			on[fsm.Subject{Cluster: cl.Name, Host: m.Host, ContextRoot: m.ContextRoot}] = m.Enabled
		}
	}
	return on
}

// endQuiesces ends all that run, as at their deadline.
func (g *fakeGroup) endQuiesces() {
	g.operate(func(o *fsm.Operating) { o.Quiesces = nil })
}

// room reports whether the instance may get another session. For those who hold the lock.
func (g *fakeGroup) room(id fsm.InstanceID) bool {
	for _, cl := range g.rev.Config.Clusters {
		for _, in := range cl.Instances {
			if g.ids[fsm.InstanceRef{Cluster: cl.Name, Instance: in.Name}] != id || in.MaxSessions == 0 {
				continue
			}
			n := 0
			for _, a := range g.table {
				if a.Instance == id {
					n++
				}
			}
			return n < in.MaxSessions
		}
	}
	return true
}

// operate changes what is in force beside the configuration.
func (g *fakeGroup) operate(change func(*fsm.Operating)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.index++
	g.operateLocked(change)
}

func (g *fakeGroup) operateLocked(change func(*fsm.Operating)) {
	next := fsm.Operating{}
	if g.oper != nil {
		next = *g.oper
	}
	next.Index = g.index
	change(&next)
	g.oper = &next
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

// moves are the moves that were recorded or tried, whatever they went by.
func (g *fakeGroup) moves() (list []fsm.SessionOp) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, op := range g.ops {
		if isMove(op.Kind) {
			list = append(list, op)
		}
	}
	return list
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
	case op.Kind == fsm.OpDrop && (!ok || op.Expect != 0 && op.Expect != a.Instance):
		res.Code, res.Instance = fsm.CodeAbsent, a.Instance
		return res
	case op.Kind == fsm.OpDrop:
		delete(g.table, op.Key)
		return res
	case isMove(op.Kind):
		if res.Code = g.moveCode(op, a); res.Code != fsm.CodeOK {
			res.Instance = a.Instance
			return res
		}
		if a.Seen = seen; a.Instance != op.Instance {
			a = g.decide(op, seen)
		}
	case op.Kind == fsm.OpAssign && !g.room(op.Instance):
		res.Code = fsm.CodeFull
		return res
	case op.Kind == fsm.OpAssign:
		a = g.decide(op, seen)
	case op.Kind == fsm.OpTouch && !ok:
		res.Code = fsm.CodeAbsent
		return res
	case op.Kind == fsm.OpTouch:
		a.Seen = seen
	}
	g.table[op.Key] = a
	res.Instance = a.Instance
	return res
}

// decide is the assignment that an operation makes; one without a reason leaves no index, as in fsm.
func (g *fakeGroup) decide(op fsm.SessionOp, seen uint32) fsm.Assignment {
	a := fsm.Assignment{Instance: op.Instance, Seen: seen, Module: op.Module}
	if op.Reason != fsm.ReasonUnknown {
		a.Reason, a.Index = op.Reason, g.index
	}
	return a
}

// moveCode is fsm's rule for a move of a, which is zero for none. It sees of the operation what the log would have of it.
func (g *fakeGroup) moveCode(op fsm.SessionOp, a fsm.Assignment) fsm.Code {
	op, _ = fsm.ParseSessionOp(fsm.AppendSessionOp(nil, op))
	expected := a.Instance == op.Expect
	if op.Kind == fsm.OpMoveAt {
		expected = a.Index != 0 && uint32(a.Index) == op.Version
	}
	switch {
	case a.Instance == op.Instance:
		return fsm.CodeOK
	case !expected && a.Instance == 0:
		return fsm.CodeAbsent
	case !expected:
		return fsm.CodeMismatch
	case !g.room(op.Instance):
		return fsm.CodeFull
	}
	return fsm.CodeOK
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

func (n *fakeNode) Operating() *fsm.Operating {
	n.g.mu.Lock()
	defer n.g.mu.Unlock()
	return n.g.oper
}

func (n *fakeNode) Sessions(id fsm.InstanceID) (count int) {
	frozen, _ := n.state()
	n.g.mu.Lock()
	defer n.g.mu.Unlock()
	table := n.g.table
	if frozen {
		table = n.table
	}
	for _, a := range table {
		if a.Instance == id {
			count++
		}
	}
	return count
}

// ModuleID numbers the modules of the present configuration, from 1.
func (n *fakeNode) ModuleID(cluster, host, contextRoot string) (fsm.ModuleID, bool) {
	n.g.mu.Lock()
	defer n.g.mu.Unlock()
	id := fsm.ModuleID(0)
	for _, c := range n.g.rev.Config.Clusters {
		for _, m := range c.Modules {
			if id++; c.Name == cluster && m.Host == host && m.ContextRoot == contextRoot {
				return id, true
			}
		}
	}
	return 0, false
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

var (
	errFakeNoQuorum = errors.New("fake: no quorum")
	errFakeLost     = errors.New("fake: the outcome is unknown")
)

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
	var res fsm.SessionResult
	var lose func(fsm.SessionOp) bool
	n.g.with(func() { res, lose = n.g.applyOp(op), n.g.lose })
	if lose != nil && lose(op) {
		return fsm.SessionResult{}, errFakeLost
	}
	return res, nil
}

func (n *fakeNode) Sync(ctx context.Context) error {
	if !n.Quorum() {
		return errFakeNoQuorum
	}
	n.g.with(func() {
		n.g.syncs++
		if n.g.synced != nil {
			n.g.synced()
		}
	})
	n.mu.Lock()
	defer n.mu.Unlock()
	n.frozen = false
	return nil
}
