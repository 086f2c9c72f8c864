package raftnode

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
)

// compact makes a snapshot, and lets go of the log behind it.
func (m *member) compact() {
	m.t.Helper()
	r := m.node.raft.Load()
	c := r.ReloadableConfig()
	c.TrailingLogs = 0
	if err := r.ReloadConfig(c); err != nil {
		m.t.Fatal(err)
	}
	if err := r.Snapshot().Error(); err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
		m.t.Fatal(err)
	}
}

// keysAlone leaves of a node's directory nothing but its key and certificate.
func (m *member) keysAlone() {
	m.t.Helper()
	data, keys := filepath.Join(m.opt.TLSDir, "data"), filepath.Join(m.t.TempDir(), "keys")
	for _, err := range []error{os.Rename(filepath.Join(data, "tls"), keys), os.RemoveAll(data), os.Mkdir(data, 0o700), os.Rename(keys, filepath.Join(data, "tls"))} {
		if err != nil {
			m.t.Fatal(err)
		}
	}
}

// TestRemovedNodeStaysOut: its certificate does not bring it back through nodes that were away when it was removed, or that have been started since and have the removal in a snapshot alone.
func TestRemovedNodeStaysOut(t *testing.T) {
	g := startGroup(t, 3)
	late := newMember(t, "n4", Options{JoinToken: g[0].opt.JoinToken, Join: []string{g[0].node.Addr()}})
	late.mustOpen()
	late.run()
	within(t, 30*time.Second, "it does not come in", func() bool { return late.node.Ready() == nil && late.node.Info().Voter })
	a, _ := g.configure()
	late.crash()

	out := g.followers()[0]
	id := *out.node.id.Load()
	if err := g.remove(out.opt.Name, true); err != nil {
		t.Fatal(err)
	}
	if !g.leader().state.Operating().Revoked(string(id)) {
		t.Fatal("the state does not know it when the removal is answered")
	}
	out.err <- <-out.err
	out.crash()
	var rest group
	for _, m := range g {
		if m != out {
			rest = append(rest, m)
			m.record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(len(rest)), Instance: a})
			m.sync()
			m.compact()
		}
	}
	for _, m := range rest {
		m.crash()
	}
	for _, m := range rest {
		m.again()
	}
	late.again()
	rest = append(rest, late)
	rest.ready()
	late.sync()
	for _, m := range rest {
		if !m.node.wasRemoved(id) {
			t.Errorf("node %s does not know that %s was removed", m.opt.Name, id)
		}
	}

	out.keysAlone()
	for _, through := range rest {
		out.opt.JoinToken, out.opt.BootstrapExpect, out.opt.Join = "", 0, []string{through.node.Addr()}
		out.mustOpen()
		wantRefusal(t, out.runFor(20*time.Second), "was removed", "token create")
		out.crash()
	}
}

// TestRevokedAlthoughNobodySaidSo: whoever removed it died before the state knew; the nodes that saw it see to it.
func TestRevokedAlthoughNobodySaidSo(t *testing.T) {
	g := startGroup(t, 3)
	g.configure()
	out := g.followers()[0]
	id := *out.node.id.Load()
	out.crash()
	l := g.leader()
	if err := l.node.raft.Load().RemoveServer(id, 0, enqueueWait).Error(); err != nil {
		t.Fatal(err)
	}
	for _, m := range g {
		if m != out {
			within(t, 20*time.Second, "it is not revoked", func() bool { return m.state.Operating().Revoked(string(id)) })
		}
	}
	if n := len(l.node.removed.due(0)); n != 0 {
		within(t, 20*time.Second, "it goes on being revoked", func() bool { return len(l.node.removed.due(0)) == 0 })
	}
}

// TestRemovedNodeHasNoSay: with the certificate that it has a removed node hears that it was removed, and nothing else: no command, no word about epochs, no Raft, not even on a connection that was open before.
func TestRemovedNodeHasNoSay(t *testing.T) {
	g := startGroup(t, 3)
	g.configure()
	out := g.followers()[0]
	creds, from := out.node.creds.Load(), caller{out.opt.Name, *out.node.id.Load()}
	l := g.leader()
	open, err := dialPeer(ctxFor(t, 10*time.Second), tcp{}, creds, protoRaft, l.node.Addr(), l.opt.Name, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	before := l.node.server.handlers
	for kind := range before {
		if err := l.node.refusesRemoved(from, kind); err != nil {
			t.Fatalf("a member's request of kind %d: %v", kind, err)
		}
	}
	out.crash()
	if err := g.remove(out.opt.Name, false); err != nil {
		t.Fatal(err)
	}

	for kind := range before { // it may still be finishing its requests
		finishes := kind == callInfo || kind == callHello || kind == callRecord || kind == callReadIndex
		if err := l.node.refusesRemoved(from, kind); finishes != (err == nil) {
			t.Errorf("a request of kind %d just after the removal: %v", kind, err)
		}
	}
	l.node.removed.mu.Lock()
	l.node.removed.left[from.id] = time.Now().Add(-partingGrace)
	l.node.removed.mu.Unlock()
	_ = open.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := bufio.NewReader(open).ReadByte(); !errors.Is(err, io.EOF) && !isReset(err) {
		t.Errorf("its open connection: %v, want an end", err)
	}
	if c, err := dialPeer(ctxFor(t, 10*time.Second), tcp{}, creds, protoRaft, l.node.Addr(), l.opt.Name, nil); err == nil {
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
			t.Errorf("a new connection for Raft: %v, want an end", err)
		}
		_ = c.Close()
	}
	nc, err := dialPeer(ctxFor(t, 10*time.Second), tcp{}, creds, protoCall, l.node.Addr(), l.opt.Name, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := newCallConn(nc)
	defer c.close(ErrClosed)
	epoch := l.node.epoch()
	for kind := range before {
		_, err := c.call(ctxFor(t, 10*time.Second), kind, encodeJSON(epochWord{Epoch: epoch + 7}))
		switch kind {
		case callInfo:
			if err != nil {
				t.Errorf("it cannot hear that it was removed: %v", err)
			}
		case callHello: // this one is none
			wantRefusal(t, err)
		default:
			wantRefusal(t, err, "was removed")
		}
	}
	if err := l.node.Ready(); err != nil {
		t.Errorf("the leader: %v", err)
	}
}

func isReset(err error) bool { return err != nil && !os.IsTimeout(err) }
