package raftnode

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/storage"
)

// TestDamagedDirectoryIsRefusedAndReplaced: one bit of one entry. The node does not start, says which file and entry and what to do; and what it says to do works: with
// the directory moved away it joins again and has everything from the others.
func TestDamagedDirectoryIsRefusedAndReplaced(t *testing.T) {
	g := startGroup(t, 3)
	a, _ := g.configure()
	for i := range 50 {
		g[0].record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(i), Instance: a})
	}
	bad := g.followers()[0]
	bad.sync()
	bad.crash()
	data := filepath.Join(bad.opt.TLSDir, "data")
	name := filepath.Join(data, "raft.db")
	file, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	key := testKey(7)
	if n := bytes.Count(file, key[:]); n == 0 {
		t.Fatal("the session's key is nowhere in the file")
	}
	whole := bytes.Clone(file)
	for at := 0; ; at++ { // bbolt leaves old copies of pages behind
		i := bytes.Index(file[at:], key[:])
		if i < 0 {
			break
		}
		at += i
		file[at] ^= 1
	}
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	err = bad.open()
	var damaged *storage.CorruptError
	if !errors.As(err, &damaged) || damaged.Path != name || damaged.Index == 0 {
		t.Fatalf("open: %v", err)
	}
	for _, words := range []string{name + " is damaged: at entry ", "checksum mismatch", "stop the node, move the data directory away and let the node join again: the other nodes have the data"} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("%q does not say %q", err, words)
		}
	}
	if left, err := os.ReadFile(name); err != nil || !bytes.Equal(left, file) {
		t.Errorf("the damaged file was changed: %v", err)
	}
	g.leader().record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(60), Instance: a})

	if err := os.Rename(data, data+".away"); err != nil {
		t.Fatal(err)
	}
	bad.again()
	within(t, 30*time.Second, "it does not come in", func() bool { return bad.node.Ready() == nil && bad.node.Info().Voter })
	bad.sync()
	if got, ok := bad.state.Lookup(key); !ok || got.Instance != a || bad.state.Len() != 51 {
		t.Errorf("session 7: %v %v; %d sessions", got, ok, bad.state.Len())
	}
	// The flip is what was refused: with the bit as it was the file is good.
	if err := os.WriteFile(filepath.Join(data+".away", "raft.db"), whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := storage.Verify(data + ".away"); err != nil {
		t.Error(err)
	}
}
