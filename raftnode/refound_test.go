package raftnode

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/storage"
)

// taken restores an image into a state of its own.
func taken(t *testing.T, i *Image) *fsm.State {
	t.Helper()
	s := fsm.New()
	if err := s.Restore(i.State); err != nil {
		t.Fatal(err)
	}
	if err := i.State.Close(); err != nil {
		t.Fatal(err)
	}
	if s.Applied() != i.Index || !s.Now().Equal(i.Time) || s.Group().ID != i.Group.ID {
		t.Fatalf("the image says index %d, time %v; the state has %d, %v", i.Index, i.Time, s.Applied(), s.Now())
	}
	return s
}

// refounded gives a member that is not open yet, whose directory holds what a group begins again with.
func refounded(t *testing.T, name string, state *fsm.State, term uint64, opt Options) *member {
	t.Helper()
	m := newMember(t, name, opt)
	dir, err := storage.Open(filepath.Join(m.opt.TLSDir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := (Refound{Dir: dir, Name: name, State: state, Term: term}).Write(); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestTheGroupBeginsAgain: a follower's image, every node and disk gone, and the group goes on from the image with the sessions that are in it; old init strings let
// others in.
func TestTheGroupBeginsAgain(t *testing.T) {
	g := startGroup(t, 3)
	a, b := g.configure()
	for i := range 300 {
		g[i%3].record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(i), Instance: []fsm.InstanceID{a, b}[i%2]})
	}
	from := g.followers()[0]
	from.sync()
	image, err := from.node.Image(ctxFor(t, 20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if len(image.Members) != 3 || image.Term == 0 || image.Confirmed != image.Index {
		t.Errorf("image %+v", image)
	}
	token := g[0].opt.JoinToken
	state := taken(t, image)
	for _, m := range g {
		m.crash()
	}
	digest := state.Digest()
	if err := state.BeginEpoch(0, time.Now()); err != nil {
		t.Fatal(err)
	}
	if state.Digest() == digest {
		t.Error("the digest is the same")
	}
	one := refounded(t, "n1", state, image.Term, Options{})
	one.again()
	group{one}.ready()
	if l := (group{one}).leader(); l.node.currentTerm() <= image.Term {
		t.Errorf("term %d, the image is of term %d", l.node.currentTerm(), image.Term)
	}
	if id, _ := one.dir.Identity(); id.Epoch != 2 || id.GroupID != image.Group.ID {
		t.Errorf("identity %+v", id)
	}
	two := newMember(t, "n2", Options{JoinToken: token, BootstrapExpect: 3, Join: []string{one.node.Addr()}})
	two.mustOpen()
	two.run()
	both := group{one, two}
	both.ready()
	within(t, 20*time.Second, "the new address is known", func() bool {
		return len(one.node.membership().Servers) == 2 && string(one.node.membership().Servers[0].Address) == one.node.Addr()
	})
	for _, m := range both {
		m.sync()
		for i := range 300 {
			if got, ok := m.state.Lookup(testKey(i)); !ok || got.Instance != []fsm.InstanceID{a, b}[i%2] {
				t.Fatalf("session %d on %s: %+v, %v", i, m.opt.Name, got, ok)
			}
		}
		if got := m.state.Group(); got.Epoch != 2 || got.ID != image.Group.ID {
			t.Errorf("%s is of epoch %d", m.opt.Name, got.Epoch)
		}
	}
	// And it goes on: new records, over a restart, with further images.
	two.record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1000), Instance: a})
	two.halt()
	one.halt()
	one.again()
	two.again()
	both.ready()
	one.sync()
	if _, ok := one.state.Lookup(testKey(1000)); !ok || one.state.Applied() <= image.Index {
		t.Errorf("what came afterwards is not there; applied %d", one.state.Applied())
	}
	again, err := one.node.Image(ctxFor(t, 20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if s := taken(t, again); s.Len() != 301 || s.Digest() != one.state.Digest() && s.Applied() == one.state.Applied() {
		t.Errorf("%d sessions in the next image", s.Len())
	}
}

// TestImageAfterAStart: right after a start nothing has been applied by raft itself; the image has everything all the same, or is refused.
func TestImageAfterAStart(t *testing.T) {
	g := startGroup(t, 1)
	a, _ := g.configure()
	for i := range 20 {
		g[0].record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(i), Instance: a})
	}
	g[0].crash()
	g[0].mustOpen()
	if _, err := g[0].node.Image(t.Context()); !errors.Is(err, ErrBehind) {
		t.Errorf("before raft runs: %v", err)
	}
	g[0].run()
	within(t, 20*time.Second, "raft runs", func() bool { return g[0].node.raft.Load() != nil })
	image, err := g[0].node.Image(ctxFor(t, 20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if s := taken(t, image); s.Len() != 20 {
		t.Errorf("%d sessions", s.Len())
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if i, err := g[0].node.Image(ended); err == nil {
		_ = i.State.Close() // it was faster
	} else if !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	node := g[0].node
	g[0].halt()
	if _, err := node.Image(ctxFor(t, 5*time.Second)); !errors.Is(err, ErrClosed) {
		t.Errorf("of a node that has stopped: %v", err)
	}
}

// TestImageOfADisk: what a stopped node has, to the end of its log.
func TestImageOfADisk(t *testing.T) {
	g := startGroup(t, 1)
	a, _ := g.configure()
	read := func() (*Image, *fsm.State) {
		t.Helper()
		g[0].crash()
		dir, err := storage.Open(filepath.Join(g[0].opt.TLSDir, "data"))
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		filled := fsm.New()
		image, err := ReadImage(dir, filled)
		if err != nil {
			t.Fatal(err)
		}
		s := taken(t, image)
		if s.Digest() != filled.Digest() {
			t.Error("the stream is of another state")
		}
		return image, s
	}
	for i := range 50 {
		g[0].record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(i), Instance: a})
	}
	image, s := read()
	if s.Len() != 50 || image.Confirmed > image.Index || len(image.Members) != 1 || image.Members[0].Name != "n1" || image.Term < 2 {
		t.Errorf("%d sessions, %+v", s.Len(), image)
	}
	// With a snapshot, and nothing or something behind it.
	g[0].again()
	g.ready()
	g[0].sync()
	if err := g[0].node.Snapshot(ctxFor(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	g[0].record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(99), Instance: a})
	if image, s := read(); s.Len() != 51 || image.Confirmed == 0 {
		t.Errorf("%d sessions, %+v", s.Len(), image)
	}

	empty, err := storage.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	if _, err := ReadImage(empty, fsm.New()); err == nil || !strings.Contains(err.Error(), "no state of a group") {
		t.Errorf("an empty directory: %v", err)
	}
}

// TestRefoundAndRead: the disk that a group begins again with has the same state; nobody has to have started on it.
func TestRefoundAndRead(t *testing.T) {
	g := startGroup(t, 1)
	g.configure()
	image, err := g[0].node.Image(ctxFor(t, 20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	state := taken(t, image)
	m := refounded(t, "other", state, image.Term, Options{})
	dir, err := storage.Open(filepath.Join(m.opt.TLSDir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	again, err := ReadImage(dir, fsm.New())
	if err != nil {
		t.Fatal(err)
	}
	if s := taken(t, again); s.Digest() != state.Digest() || again.Confirmed != again.Index || again.Term != image.Term {
		t.Errorf("%+v", again)
	}
	// A second one into the same directory would be another node's.
	if err := (Refound{Dir: dir, Name: "other", State: state, Term: image.Term}).Write(); err == nil {
		t.Error("written over another")
	}
}

func TestRefoundRefuses(t *testing.T) {
	g := startGroup(t, 1)
	g.configure()
	image, err := g[0].node.Image(ctxFor(t, 20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	state := taken(t, image)
	for name, f := range map[string]Refound{
		"no state": {Name: "n1", State: fsm.New(), Term: 3},
		"no term":  {Name: "n1", State: state},
		"no name":  {Name: "a/b", State: state, Term: 3},
	} {
		dir, err := storage.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		f.Dir = dir
		if err := f.Write(); err == nil {
			t.Errorf("%s: written", name)
		}
		if _, named := dir.Identity(); named {
			t.Errorf("%s: something is left", name)
		}
		_ = dir.Close()
	}
	// What is left when the end was not reached: no node starts on it.
	m := newMember(t, "n1", Options{Bootstrap: true})
	dir, err := storage.Open(filepath.Join(m.opt.TLSDir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	f := Refound{Dir: dir, Name: "n1", State: state, Term: image.Term, TLSDir: filepath.Join(dir.Path(), "node.json")} // no directory: Save fails
	if err := f.Write(); err == nil {
		t.Error("saved into a file")
	}
	_ = dir.Close()
	if err := m.open(); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a node starts on what is not finished: %v", err)
	}
}

// TestStreamOfAState: who stops reading leaves nothing behind (TestMain looks for goroutines).
func TestStreamOfAState(t *testing.T) {
	r := streamOf(fsm.New())
	if _, err := io.ReadFull(r, make([]byte, 8)); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
