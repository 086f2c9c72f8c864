package raftnode

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/raftnode/pki"
	"github.com/holdfast-lb/holdfast/storage"
)

// recovered begins the group again from a member that does not run, at its address, with the others told.
func (m *member) recovered() *member {
	m.t.Helper()
	m.mustOpenDir()
	state := fsm.New()
	image, err := ReadImage(m.dir, state)
	if err == nil {
		err = image.State.Close()
	}
	if err == nil {
		err = m.dir.Close()
	}
	if err == nil {
		err = state.BeginEpoch(0, time.Now())
	}
	if err != nil {
		m.t.Fatal(err)
	}
	one := newMember(m.t, m.opt.Name, Options{PeerAddr: m.opt.PeerAddr})
	one.mustOpenDir()
	if err := (Refound{Dir: one.dir, Name: m.opt.Name, State: state, Term: image.Term, Former: image.Members}).Write(); err != nil {
		m.t.Fatal(err)
	}
	if err := one.dir.Close(); err != nil {
		m.t.Fatal(err)
	}
	return one
}

// lostGroup gives a group of three with a session, of which every node is down, and the node with which it begins again.
func lostGroup(t *testing.T) (g group, one *member, a fsm.InstanceID) {
	t.Helper()
	g = startGroup(t, 3)
	a, _ = g.configure()
	g[0].record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a})
	for _, m := range g {
		m.sync()
	}
	for _, m := range g {
		m.crash()
	}
	return g, g[0].recovered(), a
}

// TestNodeOfAnOldEpochComesBack: the group goes on from one survivor of three. Another one comes back with its disk: it does not get as far as to serve, and comes in as a new node only.
func TestNodeOfAnOldEpochComesBack(t *testing.T) {
	g, one, a := lostGroup(t)
	one.again()
	fresh := group{one}
	fresh.ready()
	if e := one.node.Info().Epoch; e != 2 {
		t.Fatalf("epoch %d", e)
	}
	one.record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(2), Instance: a})
	late := g[1]
	late.mustOpen()
	wantRefusal(t, late.runFor(30*time.Second), "the group is in epoch 2, says node n1, this node in epoch 1", "token create")
	late.crash()
	wantRefusal(t, late.open(), "out of use since", "epoch 2")
	late.node = nil
	late.opt.TLSDir = t.TempDir()
	late.opt.BootstrapExpect, late.opt.JoinToken, late.opt.Join = 0, fresh.joinToken(time.Hour), []string{one.node.Addr()}
	late.again()
	late.votes()
	late.sync()
	if late.node.Info().Epoch != 2 {
		t.Error("it is of the old epoch")
	}
	for i := 1; i <= 2; i++ {
		if _, ok := late.state.Lookup(testKey(i)); !ok {
			t.Errorf("session %d is lost", i)
		}
	}
}

// TestMajorityOfAnOldEpochIsFenced: the two others come back while the new epoch cannot be seen, and lead as the majority that they are. They end as soon as it can.
func TestMajorityOfAnOldEpochIsFenced(t *testing.T) {
	g, one, a := lostGroup(t)
	old := group{g[1], g[2]}
	for _, m := range old {
		m.again()
	}
	old.ready()
	old.leader().record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(2), Instance: a})
	one.again()
	group{one}.ready()
	for _, m := range old {
		wantRefusal(t, m.ends(), "the group is in epoch 2")
		m.crash()
		wantRefusal(t, m.open(), "epoch 2")
		m.node = nil
	}
	one.record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(3), Instance: a})
	if n := len(one.node.membership().Servers); n != 1 {
		t.Errorf("%d members", n)
	}
	if _, ok := one.state.Lookup(testKey(2)); ok {
		t.Error("what the old epoch recorded is in the new one")
	}
}

func TestEpochWords(t *testing.T) {
	g := startGroup(t, 1)
	n := g[0].node
	from := caller{"n2", "n2/00000000"}
	for payload, want := range map[string]bool{"": false, "x": false, `{"epoch":-1}`: false, `{"epoch":4294967296}`: false, `{"epoch":0}`: true, `{"epoch":1}`: true, `{}`: true} {
		b, err := n.handleEpoch(t.Context(), from, []byte(payload))
		if got := err == nil; got != want {
			t.Errorf("%q: %v", payload, err)
		} else if want && !strings.Contains(string(b), `"epoch":1`) {
			t.Errorf("%q: answer %s", payload, b)
		}
	}
	if n.Ready() != nil || Expelled(g[0].dir) != nil {
		t.Error("the same epoch, or an earlier one, has put the node out")
	}
	if _, err := n.handleEpoch(t.Context(), from, []byte(`{"epoch":2}`)); err != nil {
		t.Error(err)
	}
	wantRefusal(t, g[0].ends(), "epoch 2, says node n2")
}

func TestRunning(t *testing.T) {
	g := startGroup(t, 3)
	gone := g.followers()[0]
	gone.crash()
	keys, err := pki.Load(gone.dir.TLSDir())
	if err != nil {
		t.Fatal(err)
	}
	var members []ImageMember
	for _, m := range g {
		members = append(members, ImageMember{Name: m.opt.Name, Addr: m.opt.PeerAddr})
	}
	members = append(members, ImageMember{Name: "n9", Addr: g.leader().opt.PeerAddr}, ImageMember{Name: "n8", Addr: "nonsense"})
	names := Running(t.Context(), keys, members)
	want := []string{}
	for _, m := range g {
		if m != gone {
			want = append(want, m.opt.Name)
		}
	}
	if strings.Join(names, " ") != strings.Join(want, " ") {
		t.Errorf("running: %q, want %q", names, want)
	}
}

// mustOpenDir opens the directory alone.
func (m *member) mustOpenDir() {
	m.t.Helper()
	var err error
	if m.dir, err = storage.Open(filepath.Join(m.opt.TLSDir, "data")); err != nil {
		m.t.Fatal(err)
	}
}

// TestBegunAgain: two epochs of one number are not said to be one.
func TestBegunAgain(t *testing.T) {
	for own, want := range map[uint32]string{1: "the group is in epoch 3, says node n1, this node in epoch 1: ", 3: "the group is in epoch 3, says node n1, this node in another epoch 3: "} {
		if got := begunAgain(epochWord{2, 3}, "n1", own); !strings.HasPrefix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestWhoIsOutDoesNotSayThatItServes: a node that hears while it starts that it is none of the group any more.
func TestWhoIsOutDoesNotSayThatItServes(t *testing.T) {
	g := startGroup(t, 1)
	m := g[0]
	m.crash()
	var said bytes.Buffer
	for _, out := range []bool{false, true} {
		said.Reset()
		m.mustOpen()
		m.node.log = slog.New(slog.NewTextHandler(&said, nil))
		m.node.expelling.Store(out)
		m.run()
		g.ready()
		m.crash()
		if says := strings.Contains(said.String(), "node serves its group"); says == out {
			t.Errorf("out %v: %s", out, said.String())
		}
	}
}
