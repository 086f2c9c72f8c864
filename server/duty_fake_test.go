package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/lb"
)

// fakeGroup is the replicated state, as far as the duties read it, with the rules by which it takes their commands. It outlives leaders.
type fakeGroup struct {
	mu       sync.Mutex
	op       fsm.Operating
	now      time.Time
	index    uint64
	ids      map[fsm.InstanceRef]fsm.InstanceID
	sessions map[fsm.InstanceID]int
	events   []fsm.Event
	commands []fsm.Command
	changes  chan struct{}
	// refuse, when set, is asked before a command is applied: an error is one of the way to the group.
	refuse func(fsm.Command) error
	// nodes is what the members report; asked counts the gatherings.
	nodes []memberReport
	asked int
	log   bytes.Buffer
}

func newFakeGroup(clusters ...config.Cluster) *fakeGroup {
	g := &fakeGroup{changes: make(chan struct{}), ids: map[fsm.InstanceRef]fsm.InstanceID{}, sessions: map[fsm.InstanceID]int{}, index: 10}
	c := config.Empty()
	c.Clusters = clusters
	for _, cl := range clusters {
		for _, in := range cl.Instances {
			g.ids[fsm.InstanceRef{Cluster: cl.Name, Instance: in.Name}] = fsm.InstanceID(len(g.ids) + 1)
		}
	}
	g.op = fsm.Operating{Index: 10, Config: c, Revision: &fsm.Revision{Number: 1, Config: c}}
	for i := range 3 {
		g.nodes = append(g.nodes, memberReport{node: fmt.Sprintf("n%d", i+1), self: i == 0, reachable: true, description: description{InForce: 10}})
	}
	return g
}

func (g *fakeGroup) Now() time.Time { g.mu.Lock(); defer g.mu.Unlock(); return g.now }
func (g *fakeGroup) Operating() *fsm.Operating {
	g.mu.Lock()
	defer g.mu.Unlock()
	op := g.op
	return &op
}
func (g *fakeGroup) Sessions(id fsm.InstanceID) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sessions[id]
}
func (g *fakeGroup) InstanceID(cluster, instance string) (fsm.InstanceID, bool) {
	id, ok := g.ids[fsm.InstanceRef{Cluster: cluster, Instance: instance}]
	return id, ok
}
func (g *fakeGroup) ModuleID(string, string, string) (fsm.ModuleID, bool) { return 0, false }
func (g *fakeGroup) ModuleSessions(fsm.ModuleID) int                      { return 0 }
func (g *fakeGroup) LastEvent() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return uint64(len(g.events))
}
func (g *fakeGroup) Events(after uint64, limit int) []fsm.Event {
	g.mu.Lock()
	defer g.mu.Unlock()
	if after >= uint64(len(g.events)) {
		return nil
	}
	list := slices.Clone(g.events[after:])
	return list[:min(limit, len(list))]
}

func (g *fakeGroup) changed() <-chan struct{} { g.mu.Lock(); defer g.mu.Unlock(); return g.changes }

// change makes a change of Operating that no duty makes.
func (g *fakeGroup) change(f func(*fsm.Operating)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.index++
	g.alter(f)
}

// alter has the group's lock held.
func (g *fakeGroup) alter(f func(*fsm.Operating)) {
	if now := time.Now().Truncate(time.Millisecond); now.After(g.now) {
		g.now = now
	}
	g.op.Index = g.index
	f(&g.op)
	close(g.changes)
	g.changes = make(chan struct{})
}

func (g *fakeGroup) event(kind, text, node string) {
	g.events = append(g.events, fsm.Event{Seq: uint64(len(g.events) + 1), Index: g.index, Kind: kind, Text: text, Node: node})
}

// propose applies a command at once.
func (g *fakeGroup) propose(ctx context.Context, c fsm.Command) (fsm.Result, error) {
	if ctx.Err() != nil {
		return fsm.Result{}, ctx.Err()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.refuse != nil {
		if err := g.refuse(c); err != nil {
			return fsm.Result{}, err
		}
	}
	if entry, err := fsm.Encode(time.Time{}, c); err != nil {
		return fsm.Result{}, err
	} else if texts := longest(c); texts > 4096 || len(entry) > fsm.MaxEntrySize {
		return fsm.Result{Code: fsm.CodeInvalid, Message: "a text is too long"}, nil
	}
	g.commands = append(g.commands, c)
	g.index++
	if now := time.Now().Truncate(time.Millisecond); now.After(g.now) {
		g.now = now
	}
	r := g.apply(c)
	r.Index = g.index
	return r, nil
}

// longest is the length of the longest text for people in a command; the state takes 4096 bytes (fsm, bounds.go).
func longest(c fsm.Command) (n int) {
	switch c := c.(type) {
	case *fsm.ScheduleDrop:
		n = len(c.Failure)
	case *fsm.BackupEnd:
		n = len(c.Failure)
	case *fsm.VerdictSet:
		for _, v := range c.Verdicts {
			n = max(n, len(v.Reason))
		}
	}
	return n
}

func (g *fakeGroup) apply(c fsm.Command) fsm.Result {
	switch c := c.(type) {
	case *fsm.QuiesceEnd:
		i := slices.IndexFunc(g.op.Quiesces, func(q fsm.Quiesce) bool { return q.ID == c.ID && q.Subject == c.Subject })
		if i < 0 {
			return fsm.Result{Code: fsm.CodeAbsent}
		}
		q := g.op.Quiesces[i]
		if !q.Deadline.Equal(c.Deadline) || g.now.Before(q.Deadline) && (!c.Idle || g.sessions[g.ids[fsm.InstanceRef{Cluster: q.Cluster, Instance: q.Instance}]] > 0) {
			return fsm.Result{Code: fsm.CodeInvalid}
		}
		g.event(fsm.EventQuiesced, "Instance: "+q.Instance+" quiesced successfully over the cluster: "+q.Cluster+".", c.Node)
		g.alter(func(op *fsm.Operating) { op.Quiesces = slices.Delete(slices.Clone(op.Quiesces), i, i+1) })
	case *fsm.LockClear:
		if g.op.Lock == nil {
			return fsm.Result{Code: fsm.CodeAbsent}
		}
		if c.Expired && g.now.Before(g.op.Lock.Until) {
			return fsm.Result{Code: fsm.CodeInvalid}
		}
		g.alter(func(op *fsm.Operating) { op.Lock = nil })
	case *fsm.VerdictSet:
		g.alter(func(op *fsm.Operating) {
			for _, v := range c.Verdicts {
				op.Verdicts = append(slices.DeleteFunc(slices.Clone(op.Verdicts), func(o fsm.Verdict) bool { return o.Instance == v.Instance }), v)
			}
		})
	case *fsm.SharesSet:
		if !slices.Equal(g.op.Shares, c.Shares) {
			g.alter(func(op *fsm.Operating) { op.Shares = slices.Clone(c.Shares) })
		}
	case *fsm.InstanceRegister:
		g.alter(func(op *fsm.Operating) {
			op.Registered = append(slices.DeleteFunc(slices.Clone(op.Registered), func(r fsm.Registration) bool { return r.Instance.Name == c.Instance.Name }),
				fsm.Registration{Cluster: c.Cluster, Instance: c.Instance})
		})
	case *fsm.InstanceDrop:
		g.alter(func(op *fsm.Operating) {
			op.Registered = slices.DeleteFunc(slices.Clone(op.Registered), func(r fsm.Registration) bool {
				return slices.Contains(c.Instances, fsm.InstanceRef{Cluster: r.Cluster, Instance: r.Instance.Name})
			})
		})
	case *fsm.ConfigChange:
		i := slices.IndexFunc(g.op.Schedules, func(s fsm.Schedule) bool { return s.ID == c.Schedule })
		switch {
		case i < 0:
			return fsm.Result{Code: fsm.CodeInvalid, Message: "no such schedule"}
		case g.op.Lock != nil:
			return fsm.Result{Code: fsm.CodeLocked, Lock: g.op.Lock}
		case c.Expect != g.op.Revision.Number:
			return fsm.Result{Code: fsm.CodeConflict}
		}
		g.alter(func(op *fsm.Operating) {
			op.Revision = &fsm.Revision{Number: op.Revision.Number + 1, Config: c.Config, Actor: c.Actor}
			op.Config = c.Config
			op.Schedules = slices.Delete(slices.Clone(op.Schedules), i, i+1)
		})
	case *fsm.TicketKeyPut:
		if keys := g.op.TicketKeys; len(keys) == 0 && c.Expect != 0 || len(keys) > 0 && keys[0].ID != c.Expect {
			return fsm.Result{Code: fsm.CodeConflict}
		}
		g.alter(func(op *fsm.Operating) {
			op.TicketKeys = append([]fsm.TicketKey{{ID: op.Index, Since: g.now, Key: c.Key}}, op.TicketKeys...)
		})
	case *fsm.BackupBegin:
		if b := g.op.Backups; b != nil && (b.ID != c.Expect || b.Runs()) || b == nil && c.Expect != "" {
			return fsm.Result{Code: fsm.CodeConflict}
		}
		g.alter(func(op *fsm.Operating) {
			next := fsm.Backups{First: g.now}
			if op.Backups != nil {
				next = *op.Backups
			}
			next.ID, next.Node, next.Every, next.Begun, next.Ended, next.Failure = c.ID, c.Node, c.Every, g.now, time.Time{}, ""
			op.Backups = &next
		})
	case *fsm.BackupEnd:
		if b := g.op.Backups; b == nil || b.ID != c.ID || !b.Runs() {
			return fsm.Result{Code: fsm.CodeAbsent}
		}
		g.alter(func(op *fsm.Operating) {
			next := *op.Backups
			next.Ended, next.Failure, next.Failures = g.now, c.Failure, next.Failures+1
			if c.Failure == "" {
				next.Failures, next.Good = 0, &fsm.GoodBackup{Node: next.Node, Name: c.Name, Index: c.Index, Bytes: c.Bytes, At: next.Begun}
			}
			op.Backups = &next
		})
	case *fsm.ScheduleDrop:
		i := slices.IndexFunc(g.op.Schedules, func(s fsm.Schedule) bool { return s.ID == c.ID })
		if i < 0 {
			return fsm.Result{Code: fsm.CodeAbsent}
		}
		g.alter(func(op *fsm.Operating) { op.Schedules = slices.Delete(slices.Clone(op.Schedules), i, i+1) })
	}
	return fsm.Result{}
}

// term makes what the duties of one leader have in hand.
func (g *fakeGroup) term(node string) *term {
	return &term{
		node: node, state: g, clock: time.Now, changed: g.changed, propose: g.propose,
		reports: &gatherer{ask: func(context.Context) []memberReport { return g.report() }},
		log:     slog.New(slog.NewTextHandler(&lockedWriter{g: g}, nil)), jobs: newJobs(prometheus.NewRegistry()),
	}
}

func (g *fakeGroup) report() []memberReport {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked++
	return slices.Clone(g.nodes)
}

// obey makes nodes serve what is in force.
func (g *fakeGroup) obey(nodes ...int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, i := range nodes {
		g.nodes[i].InForce = g.op.Index
	}
}

// say sets what a node thinks of an instance.
func (g *fakeGroup) say(node int, s lb.InstanceStatus) {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := &g.nodes[node].description
	d.Instances = append(slices.DeleteFunc(slices.Clone(d.Instances), func(o lb.InstanceStatus) bool { return o.Instance == s.Instance && o.Cluster == s.Cluster }), s)
}

// done gives the commands so far.
func (g *fakeGroup) done() []fsm.Command {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.commands)
}

func (g *fakeGroup) logged(text string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return strings.Count(g.log.String(), text)
}

// lead runs duties as one leader until the returned function kills it.
func (g *fakeGroup) lead(t *term, duties ...duty) (kill func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); t.run(ctx, duties...) }()
	return func() { cancel(); <-done }
}

type lockedWriter struct{ g *fakeGroup }

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.g.mu.Lock()
	defer w.g.mu.Unlock()
	return w.g.log.Write(p)
}

// testCluster is a cluster as an operator would write it, with all defaults.
func testCluster(names ...string) config.Cluster {
	text := "clusters: [{name: c1, modules: [{contextRoot: /}], instances: ["
	for i, n := range names {
		text += fmt.Sprintf("{name: %s, listeners: ['http://127.0.0.1:%d']},", n, 9001+i)
	}
	c, err := config.Parse("test", []byte(text+"]}]"))
	if err != nil {
		panic(err)
	}
	return c.Clusters[0]
}

var errAway = errors.New("no way to the group")

// count counts the commands of one type.
func count[C fsm.Command](list []fsm.Command) (n int) {
	for _, c := range list {
		if _, ok := c.(C); ok {
			n++
		}
	}
	return n
}

func wantCount[C fsm.Command](t *testing.T, g *fakeGroup, want int) {
	t.Helper()
	if n := count[C](g.done()); n != want {
		t.Errorf("%d commands of type %T, want %d", n, *new(C), want)
	}
}

// stateThatRefuses counts a command and refuses it.
func stateThatRefuses(g *fakeGroup) func(context.Context, fsm.Command) (fsm.Result, error) {
	return func(_ context.Context, c fsm.Command) (fsm.Result, error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.commands = append(g.commands, c)
		return fsm.Result{Code: fsm.CodeInvalid, Message: "no"}, nil
	}
}

// gatherings counts how often the nodes were asked.
func (g *fakeGroup) gatherings() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asked
}
