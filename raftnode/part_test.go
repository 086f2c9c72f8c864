package raftnode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
)

// inherited is a network whose peer port outlives the node that bound it, as one does that is handed to another process.
type inherited struct {
	tcp
	mu   sync.Mutex
	file *os.File
}

func (i *inherited) Listen(addr string) (net.Listener, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.file != nil {
		return net.FileListener(i.file)
	}
	l, err := i.tcp.Listen(addr)
	if err != nil {
		return nil, err
	}
	i.file, err = l.(*net.TCPListener).File()
	return l, err
}

// heirs opens a group whose peer ports outlive their nodes.
func heirs(t *testing.T, size int) group {
	g := expectGroup(t, size, func(o *Options) {
		port := &inherited{}
		o.Network = port
		t.Cleanup(func() { _ = port.file.Close() })
	})
	for _, m := range g {
		m.run()
	}
	g.ready()
	return g
}

// part has m part, and gives the node that it was; m is its successor, which does not run yet.
func (m *member) part() (old *Node) {
	m.t.Helper()
	if err := m.node.Part(ctxFor(m.t, 20*time.Second)); err != nil {
		m.t.Fatal(err)
	}
	if err := m.dir.Close(); err != nil {
		m.t.Fatalf("the directory is still in use: %v", err)
	}
	old, stop, ended := m.node, m.stop, m.err
	m.t.Cleanup(func() {
		if err := old.Stop(ctxFor(m.t, 20*time.Second)); err != nil {
			m.t.Error(err)
		}
		stop()
		if err := <-ended; err != nil && !errors.Is(err, ErrClosed) {
			m.t.Errorf("the node that has parted: %v", err)
		}
	})
	m.node, m.stop = nil, nil
	return old
}

func assign(i int, to fsm.InstanceID) fsm.SessionOp {
	return fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(i), Instance: to, Reason: fsm.ReasonPolicy}
}

// TestPartedNodeGoesOn: a follower that has parted records, before its successor is there and after it; what the group has committed it learns from that, and Sync
// waits for it. It notices a change of the leader. The other nodes and the successor have everything in the end.
func TestPartedNodeGoesOn(t *testing.T) {
	g := heirs(t, 3)
	a, _ := g.configure()
	m := g.followers()[0]
	m.sync()
	at := m.state.Applied()
	old := m.part()
	if err := old.Part(ctxFor(t, time.Second)); err == nil {
		t.Error("it parts again")
	}
	ctx := ctxFor(t, 20*time.Second)
	for i := range 50 {
		if res, err := old.Record(ctx, assign(i, a)); err != nil || res.Code != fsm.CodeOK {
			t.Fatalf("record %d without a successor: %+v %v", i, res, err)
		}
	}
	if err := old.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	if old.state.Applied() <= at {
		t.Errorf("applied %d, parted at %d", old.state.Applied(), at)
	}
	for i := range 50 {
		if got, ok := old.state.Lookup(testKey(i)); !ok || got.Instance != a {
			t.Fatalf("session %d after a sync: %+v %v", i, got, ok)
		}
	}
	m.mustOpen()
	m.run()
	g.ready()
	leader := g.leader()
	var other *member
	for _, f := range g.followers() {
		if f != m {
			other = f
		}
	}
	if err := leader.node.TransferTo(ctx, other.opt.Name); err != nil {
		t.Fatal(err)
	}
	for i := 50; i < 100; i++ {
		if res, err := old.Record(ctx, assign(i, a)); err != nil || res.Code != fsm.CodeOK {
			t.Fatalf("record %d after a transfer: %+v %v", i, res, err)
		}
	}
	if err := old.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	for _, n := range g {
		n.sync()
		if n.state.Digest() != old.state.Digest() {
			t.Errorf("%s has another state than the node that has parted", n.opt.Name)
		}
	}
}

// TestPartedAlone: the only node of a group, which leads, parts: what it is to record waits for its successor.
func TestPartedAlone(t *testing.T) {
	g := heirs(t, 1)
	a, _ := g.configure()
	m := g[0]
	if !m.node.Alone() {
		t.Fatal("not alone")
	}
	old := m.part()
	ctx := ctxFor(t, 20*time.Second)
	type answer struct {
		res fsm.SessionResult
		err error
	}
	waits := make(chan answer, 1)
	go func() {
		res, err := old.Record(ctx, assign(1, a))
		waits <- answer{res, err}
	}()
	select {
	case got := <-waits:
		t.Fatalf("recorded by nobody: %+v", got)
	case <-time.After(100 * time.Millisecond):
	}
	m.mustOpen()
	m.run()
	if got := <-waits; got.err != nil || got.res.Code != fsm.CodeOK {
		t.Fatalf("%+v", got)
	}
	if err := old.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	if got, ok := old.state.Lookup(testKey(1)); !ok || got.Instance != a {
		t.Errorf("%+v %v", got, ok)
	}
	g.ready()
	m.sync()
	if got, ok := m.state.Lookup(testKey(1)); !ok || got.Instance != a {
		t.Errorf("the successor: %+v %v", got, ok)
	}
}

// TestWhoCannotPart: one that leads others, and one that has not begun, stay as they are.
func TestWhoCannotPart(t *testing.T) {
	g := heirs(t, 3)
	a, _ := g.configure()
	leader := g.leader()
	if err := leader.node.Part(ctxFor(t, time.Second)); !errors.Is(err, ErrLeads) {
		t.Errorf("the leader: %v", err)
	}
	leader.record(assign(1, a))
	fresh := newMember(t, "n9", Options{JoinToken: initString(t), Bootstrap: true})
	fresh.mustOpen()
	if err := fresh.node.Part(ctxFor(t, time.Second)); err == nil {
		t.Error("a node without a group parts")
	}
}

// TestLearnRefusesWhatIsNotNext: nothing of it is applied, and an entry of another program ends the learning for good.
func TestLearnRefusesWhatIsNotNext(t *testing.T) {
	g := heirs(t, 1)
	a, _ := g.configure()
	m := g[0]
	m.record(assign(1, a))
	old := m.part() // it has nobody to ask
	at := old.learnt.position()
	next := TailEntry{Index: at.index + 1, Term: at.term, Command: true, Data: fsm.EncodeSessions(old.state.Now(), []fsm.SessionOp{assign(2, a)})}
	for what, e := range map[string]TailEntry{"a gap": {Index: at.index + 2, Term: at.term}, "once more": {Index: at.index, Term: at.term}, "of an older term": {Index: at.index + 1, Term: at.term - 1}} {
		if err := old.learn([]TailEntry{e}); !errors.Is(err, errFrame) || old.state.Applied() != at.index {
			t.Errorf("%s: %v, applied %d", what, err, old.state.Applied())
		}
	}
	if err := old.learn([]TailEntry{next}); err != nil || old.learnt.position().index != next.Index {
		t.Errorf("the next one: %v", err)
	}
	if _, ok := old.state.Lookup(testKey(2)); !ok {
		t.Error("it is not applied")
	}
	bad := TailEntry{Index: next.Index + 1, Term: at.term, Command: true, Data: []byte{1, 0x7f, 0}}
	for range 2 {
		if err := old.learn([]TailEntry{bad}); !errors.Is(err, errLearn) {
			t.Errorf("an entry of another program: %v", err)
		}
	}
	m.again()
	g.ready()
}

// TestTailByCall: a member is told what is behind an entry, or waits for it; nobody else is.
func TestTailByCall(t *testing.T) {
	g := startGroup(t, 3)
	a, _ := g.configure()
	leader, m := g.leader(), g.followers()[0]
	ask := func(after, term uint64, more ...byte) ([]TailEntry, error) {
		b := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, after), term)
		b, err := m.node.pool.call(ctxFor(t, 10*time.Second), leader.node.Addr(), leader.opt.Name, callTail, append(b, more...))
		if err != nil {
			return nil, err
		}
		return decodeTail(b)
	}
	leader.record(assign(1, a))
	var begin raft.Log
	if err := leader.dir.Log().GetLog(1, &begin); err != nil {
		t.Fatal(err)
	}
	first, err := leader.node.Tail(1, begin.Term, 1<<60, 1<<20)
	if err != nil || len(first) == 0 {
		t.Fatalf("%d entries, %v", len(first), err)
	}
	last := first[len(first)-1]
	got, err := ask(1, begin.Term)
	if err != nil || len(got) < len(first) || got[0].Index != 2 {
		t.Errorf("%d entries, want %d: %v", len(got), len(first), err)
	}
	waits := make(chan error, 1)
	go func() {
		list, err := ask(last.Index, last.Term)
		if err == nil && len(list) > 0 && list[0].Index != last.Index+1 {
			err = fmt.Errorf("entry %d", list[0].Index)
		}
		waits <- err
	}()
	leader.record(assign(2, a))
	if err := <-waits; err != nil {
		t.Error(err)
	}
	if _, err := ask(last.Index, last.Term+7); err == nil {
		t.Error("another history is told")
	}
	if _, err := ask(1, begin.Term, 0); !errors.Is(err, ErrRefused) {
		t.Errorf("a longer question: %v", err)
	}
	if _, err := leader.node.handleTail(t.Context(), caller{name: "stranger", id: "stranger/00000000"}, make([]byte, 16)); !errors.Is(err, ErrRefused) {
		t.Errorf("a stranger: %v", err)
	}
}

func FuzzDecodeTail(f *testing.F) {
	f.Add(encodeTail([]TailEntry{{Index: 1, Term: 2, Command: true, Data: []byte("x")}, {Index: 2, Term: 2}}))
	f.Add(append(make([]byte, 17), 0xff, 0xff, 0xff, 0x7f))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := decodeTail(b)
		if err == nil && !bytes.Equal(encodeTail(list), b) {
			t.Error("what was read is not what was there")
		}
	})
}
