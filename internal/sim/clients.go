package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/raftnode"
)

const (
	owners, contenders, readers, operators = 4, 2, 2, 2
	// patience is how long a client waits for one answer.
	patience = 4 * time.Second
	// kept are the instances that sessions are on, drained those that operators disable and enable.
	kept, drained = 3, 3
)

// text is the configuration with the given instances of the second cluster disabled.
func configText(timeout time.Duration, disabled [drained]bool) string {
	s := "clusters:\n  - name: keep\n    affinity: {type: insert, idleTimeout: 720h}\n    modules: [{contextRoot: /}]\n    instances:\n"
	for i := range kept {
		s += fmt.Sprintf("      - {name: k%d, listeners: [\"http://10.1.0.%d:8080\"]}\n", i, i+1)
	}
	s += fmt.Sprintf("  - name: drain\n    quiesceTimeout: %v\n    modules: [{contextRoot: /drain}]\n    instances:\n", timeout)
	for i := range drained {
		s += fmt.Sprintf("      - {name: d%d, enabled: %t, listeners: [\"http://10.1.1.%d:8080\"]}\n", i, !disabled[i], i+1)
	}
	return s
}

// configure gives the group its first configuration.
func (w *world) configure() bool {
	c, err := config.Parse("first", []byte(configText(4*time.Second, [drained]bool{})))
	if err != nil {
		w.violated("BUG: configuration: %v", err)
		return false
	}
	w.history.begin("first")
	p := w.machines[0].running()
	for range 20 {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		r, err := p.node.Propose(ctx, &fsm.ConfigChange{Actor: "sim", Message: "first", Config: c})
		cancel()
		if err == nil && (r.Code == fsm.CodeOK || r.Code == fsm.CodeConflict) {
			w.history.revision("the founder", 0, 1, "first", true)
			return true
		}
		time.Sleep(200 * time.Millisecond)
	}
	w.violated("a group without a fault takes no configuration: %v", err)
	return false
}

// load starts the clients. They end with w.ctx, each when it has its answer.
func (w *world) load(all *sync.WaitGroup) {
	for i := range owners {
		all.Go(func() { w.owner(w.client("owner", i)) })
	}
	for i := range contenders {
		all.Go(func() { w.contender(w.client("contender", i)) })
	}
	for i := range readers {
		all.Go(func() { w.reader(w.client("reader", i)) })
	}
	for i := range operators {
		all.Go(func() { w.operator(w.client("operator", i)) })
	}
}

// client is one of those that use the group.
type client struct {
	*chance
	w    *world
	name string
	n    int // operations
}

func (w *world) client(kind string, i int) *client {
	name := fmt.Sprintf("%s%d", kind, i)
	return &client{chance: newChance(w.s.Seed, name), w: w, name: name}
}

// node picks one that runs; nil: none does.
func (c *client) node() *process {
	for _, i := range c.order(len(c.w.machines)) {
		if p := c.w.machines[i].running(); p != nil {
			return p
		}
	}
	return nil
}

// key makes one that nobody else has: of this client, or of number n for all.
func (c *client) key(owner string, n int) (k fsm.Key) {
	binary.BigEndian.PutUint64(k[:], newChance(c.w.s.Seed, fmt.Sprintf("key %s %d", owner, n)).r.Uint64())
	binary.BigEndian.PutUint64(k[8:], uint64(n))
	return k
}

func (c *client) instance(p *process) (fsm.InstanceID, bool) {
	return p.state.InstanceID("keep", fmt.Sprintf("k%d", c.below(kept)))
}

// record has one operation done by some node, and by another one while the answer does not come. ok is false when it is not known what came of it.
func (c *client) record(op fsm.SessionOp) (r fsm.SessionResult, ok bool) {
	for range 6 {
		p := c.node()
		if p != nil {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			r, err := p.node.Record(ctx, op)
			cancel()
			if err == nil && !p.dead.Load() {
				c.w.trace.silent(c.name, fmt.Appendf(nil, "%v %x %d %d", p, op.Key, r.Code, r.Instance))
				return r, true
			}
		}
		if !c.w.pause(c.between(50*time.Millisecond, 500*time.Millisecond)) {
			return r, false
		}
	}
	return r, false
}

// owner makes sessions, and moves them now and then. One of which it does not know where it is it leaves alone.
func (w *world) owner(c *client) {
	var mine []owned
	for w.pause(c.about(120 * time.Millisecond)) {
		p := c.node()
		if p == nil {
			continue
		}
		to, known := c.instance(p)
		if !known {
			continue
		}
		c.n++
		if len(mine) == 0 || c.is(0.7) {
			k := c.key(c.name, c.n)
			w.history.claim(k, to, false)
			if r, ok := c.record(fsm.SessionOp{Kind: fsm.OpAssign, Key: k, Instance: to, Reason: fsm.ReasonPolicy}); ok {
				w.history.assigned(c.name, k, r.Instance)
				mine = append(mine, owned{k, r.Instance})
			}
			continue
		}
		i := c.below(len(mine))
		if moved, sure := c.move(p, mine[i], to); !sure {
			mine[i] = mine[len(mine)-1]
			mine = mine[:len(mine)-1]
		} else if moved {
			mine[i].at = to
		}
	}
}

// owned is a session of which its owner knows where it is.
type owned struct {
	key fsm.Key
	at  fsm.InstanceID
}

// move moves a session by its version, as it is read at p: a request that was given up, and comes late, must not move it again. sure is false when it is not known what came of it.
func (c *client) move(p *process, s owned, to fsm.InstanceID) (moved, sure bool) {
	floor := c.w.history.floor(s.key)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	err := p.node.Sync(ctx)
	cancel()
	if s.at == to || err != nil || p.dead.Load() {
		return false, true
	}
	a, found := p.state.Lookup(s.key)
	c.w.history.saw(fmt.Sprintf("%s at %v", c.name, p), s.key, floor, a.Instance, found)
	if a.Instance != s.at {
		return false, false // said so
	}
	c.w.history.claim(s.key, to, false)
	r, ok := c.record(fsm.SessionOp{Kind: fsm.OpMoveAt, Key: s.key, Instance: to, Version: uint32(a.Index), Reason: fsm.ReasonOperator})
	switch {
	case !ok:
		return false, false
	case r.Code != fsm.CodeOK || r.Instance != to:
		c.w.violated("%s moved session %x from instance %d to %d and was told code %d, instance %d", c.name, s.key[:4], s.at, to, r.Code, r.Instance)
		return false, false
	}
	c.w.history.assigned(c.name, s.key, to)
	return true, true
}

// contender asks for sessions for which others ask at the same time: all must be told the same.
func (w *world) contender(c *client) {
	for w.pause(c.about(200 * time.Millisecond)) {
		p := c.node()
		if p == nil {
			continue
		}
		to, known := c.instance(p)
		if !known {
			continue
		}
		k := c.key("shared", int(w.trace.at()/(300*time.Millisecond)))
		w.history.claim(k, to, true)
		if r, ok := c.record(fsm.SessionOp{Kind: fsm.OpAssign, Key: k, Instance: to, Reason: fsm.ReasonPolicy}); ok {
			w.history.assigned(c.name, k, r.Instance)
		}
	}
}

// reader reads sessions and the configuration, linearizably.
func (w *world) reader(c *client) {
	for w.pause(c.about(250 * time.Millisecond)) {
		p := c.node()
		k, some := w.history.pick(c.chance)
		if p == nil || !some {
			continue
		}
		floor, revision := w.history.floor(k), w.history.begin("")
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		err := p.node.Sync(ctx)
		cancel()
		if err != nil || p.dead.Load() {
			continue
		}
		a, found := p.state.Lookup(k)
		r := p.state.Revision()
		w.history.saw(fmt.Sprintf("%s at %v", c.name, p), k, floor, a.Instance, found)
		w.history.revision(fmt.Sprintf("%s at %v", c.name, p), revision, r.Number, r.Message, false)
	}
}

// edited is a configuration of which a little is changed: an instance or two are disabled or enabled, and sometimes the time of all quiesces.
func (c *client) edited(from *config.Config) string {
	cluster := from.Clusters[1]
	timeout := time.Duration(cluster.QuiesceTimeout)
	if c.is(0.2) {
		timeout = c.between(time.Second, 8*time.Second).Truncate(time.Millisecond)
	}
	var off [drained]bool
	for i := range off {
		off[i] = !cluster.Instances[i].Enabled != c.is(0.25)
	}
	return configText(timeout, off)
}

// operator disables and enables instances, each change made from the revision that it has read.
func (w *world) operator(c *client) {
	for w.pause(c.between(300*time.Millisecond, 3*time.Second)) {
		p := c.node()
		if p == nil {
			continue
		}
		revision := p.state.Revision()
		if len(revision.Config.Clusters) < 2 {
			continue // it has just been started, and has not heard of the configuration yet
		}
		c.n++
		message := fmt.Sprintf("%s-%d", c.name, c.n)
		next, err := config.Parse(message, []byte(c.edited(revision.Config)))
		if err != nil {
			w.violated("BUG: configuration: %v", err)
			return
		}
		expect := revision.Number
		floor := w.history.begin(message)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		r, err := p.node.Propose(ctx, &fsm.ConfigChange{Expect: expect, Actor: c.name, Message: message, Config: next})
		cancel()
		w.trace.silent(c.name, fmt.Appendf(nil, "%s %v %d %v", message, p, r.Code, err))
		switch {
		case p.dead.Load():
			w.history.ended(message, unknown)
		case err == nil && r.Code == fsm.CodeOK:
			w.trace.add("%s: revision %d through %v", message, r.Revision, p)
			w.history.revision(c.name, floor, r.Revision, message, true)
		case err == nil || errors.Is(err, raftnode.ErrRefused), errors.Is(err, raftnode.ErrNoQuorum) && !errors.Is(err, raftnode.ErrTimeout):
			w.history.ended(message, refused)
		default:
			w.history.ended(message, unknown)
		}
	}
}
