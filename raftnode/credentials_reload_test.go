package raftnode

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/raftnode/pki"
)

// TestCredentialsAreReadAgain: what is no certificate of this node is refused and the old one stays; connections go on, and new ones are made.
func TestCredentialsAreReadAgain(t *testing.T) {
	g := startGroup(t, 3)
	a, _ := g.configure()
	m, leader := g.followers()[0], g.leader()
	dir := m.node.opt.TLSDir
	within(t, 20*time.Second, "a founder has the authority's key no longer: it writes its file without it", func() bool { return len(m.node.creds.Load().CAKeyDER) == 0 })
	old := m.node.creds.Load()
	if err := m.node.ReloadCredentials(); err != nil || m.node.creds.Load() == old {
		t.Fatalf("the same file: %v", err)
	}
	m.node.pool.drop(leader.node.Addr(), leader.opt.Name, ErrClosed)
	leader.node.pool.drop(m.node.Addr(), m.opt.Name, ErrClosed)
	m.record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a})
	if _, err := leader.node.askInfo(ctxFor(t, 10*time.Second), m.node.Addr(), m.opt.Name); err != nil {
		t.Errorf("a new connection to it: %v", err)
	}

	used := m.node.creds.Load()
	others, err := filepath.Glob(filepath.Join(leader.node.opt.TLSDir, "*"))
	if err != nil || len(others) != 1 {
		t.Fatalf("%q %v", others, err)
	}
	path := filepath.Join(dir, filepath.Base(others[0]))
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := os.ReadFile(others[0])
	if err != nil {
		t.Fatal(err)
	}
	for what, content := range map[string][]byte{"another node's": theirs, "half": good[:len(good)/2], "empty": {}} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := m.node.ReloadCredentials(); err == nil || m.node.creds.Load() != used {
			t.Errorf("%s: %v", what, err)
		}
	}
	in, err := pki.ParseInit(m.opt.JoinToken, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	ca, err := in.CA()
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := pki.SelfIssue(ca, m.opt.Name, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := fresh.Save(dir); err != nil {
		t.Fatal(err)
	}
	if err := m.node.ReloadCredentials(); err == nil || !strings.Contains(err.Error(), "does not belong to the data directory") {
		t.Errorf("another key: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := m.node.ReloadCredentials(); err == nil || m.node.creds.Load() != used {
		t.Errorf("no file: %v", err)
	}
	m.record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(2), Instance: a})
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
}
