package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/fsm"
)

// restoreVia sends an archive to a node as an operator's program does.
func restoreVia(t *testing.T, s *Server, b []byte) (*client.Restored, error) {
	t.Helper()
	c, err := client.New(client.Options{URLs: []string{"http://" + s.AdminAddr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.RestoreGroup(t.Context(), client.Restore{Group: "test", Archive: "a.hfb", Reason: "a test", Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }})
}

// alike waits until all nodes have one state, and gives its digest.
func (g *testGroup) alike(t *testing.T) (digest fsm.Digest) {
	t.Helper()
	eventually(t, "all nodes have one state", func() error {
		first, d := g.servers[0].state.DigestAt()
		for _, s := range g.servers[1:] {
			if at, other := s.state.DigestAt(); at != first || other != d {
				return fmt.Errorf("%d %v, %d %v", first, d, at, other)
			}
		}
		digest = d
		return nil
	})
	return digest
}

// TestRestoreIntoTheRunningGroup: through a follower, with nodes that are members all the time; every node has the archive's sessions and the next epoch, at one index; and again, and back.
func TestRestoreIntoTheRunningGroup(t *testing.T) {
	g := startGroup(t, 3)
	g.configure(t, "http://127.0.0.1:1")
	fill(t, g.servers[0], 2000)
	early := download(t, g.servers[1])
	fill(t, g.servers[0], 500)
	g.configureWith(t, "http://127.0.0.1:2")
	late := download(t, g.servers[2])
	for i, step := range []struct {
		archive  []byte
		sessions int
		url      string
	}{{early, 2000, "http://127.0.0.1:1"}, {late, 2500, "http://127.0.0.1:2"}, {early, 2000, "http://127.0.0.1:1"}} {
		revision := g.servers[0].state.Revision().Number
		done, err := restoreVia(t, g.servers[i], step.archive)
		if err != nil {
			t.Fatal(err)
		}
		if done.AppliedBy != "all" || done.Sessions != step.sessions || int(done.Epoch) != i+2 || done.Revision != revision+1 {
			t.Errorf("%+v", done)
		}
		g.alike(t)
		for _, s := range g.servers {
			in := s.state.Operating().Config.Clusters[0].Instances[0]
			if s.state.Len() != step.sessions || s.state.Group().Founded() != 1 || s.state.Group().Line() == 0 || s.state.Group().Born(1) != 0 || !slices.Equal(in.Listeners, []string{step.url}) || s.node.DiskTrouble() != nil {
				t.Errorf("%d sessions, %+v, %+v", s.state.Len(), s.state.Group(), in)
			}
			if err := s.ready(); err != nil {
				t.Error(err)
			}
		}
	}
	fill(t, g.servers[2], 10) // life goes on
	g.alike(t)
	if list := g.servers[0].state.Events(0, 1000); !slices.ContainsFunc(list, func(e fsm.Event) bool {
		return e.Kind == fsm.EventRestored && strings.Contains(e.Text, "a.hfb") && strings.Contains(e.Text, "a test")
	}) {
		t.Error("nobody hears of it")
	}
	if m := g.servers[0].state.Revision().Message; m != "restored from a.hfb: a test" {
		t.Errorf("the history says %q", m)
	}
	// What the restored group gives is an archive like any other.
	report, err := VerifyArchive(bytes.NewReader(download(t, g.servers[0])))
	if err != nil || report.Sessions != 2010 || report.Header.Epoch != 4 {
		t.Errorf("%+v, %v", report, err)
	}
}

// configureWith gives cluster1 another address for its instance.
func (g *testGroup) configureWith(t *testing.T, url string) {
	t.Helper()
	c := *g.servers[0].state.Revision().Config
	c.Clusters = slices.Clone(c.Clusters)
	c.Clusters[0].Instances = slices.Clone(c.Clusters[0].Instances)
	c.Clusters[0].Instances[0].Listeners = []string{url}
	r, err := adminNode{g.servers[0]}.Propose(t.Context(), &fsm.ConfigChange{Expect: g.servers[0].state.Revision().Number, Actor: "test", Config: &c})
	if err != nil || r.Code != fsm.CodeOK {
		t.Fatalf("%+v, %v", r, err)
	}
}

// TestWhatIsNotRestoredIntoTheGroup: damaged anywhere, cut off, of another group, under a lock, beside a workflow: it says why, and the group is as it was.
func TestWhatIsNotRestoredIntoTheGroup(t *testing.T) {
	g := smallGroup(t)
	s := g.servers[0]
	b := download(t, s)
	fill(t, s, 5)
	unchanged := func(name string, bad []byte, words string) {
		t.Helper()
		_, err := s.restore(t.Context(), admin.Restore{From: bytes.NewReader(bad), Archive: "a", Actor: "test"})
		if err == nil || !strings.Contains(fmt.Sprint(err, problemErrors(err)), words) {
			t.Fatalf("%s: %v", name, err)
		}
		if p, _ := s.state.Restoring(); p != nil || s.state.Len() != 45 || s.state.Group().Epoch != 1 {
			t.Fatalf("%s: %+v, %d sessions", name, p, s.state.Len())
		}
	}
	for i := 0; i < len(b); i += 97 {
		bad := bytes.Clone(b)
		bad[i] ^= 0x55
		unchanged(fmt.Sprint("byte ", i), bad, "")
	}
	unchanged("cut off", b[:len(b)-1], "damaged")
	unchanged("longer", append(bytes.Clone(b), 0), "damaged")
	unchanged("nothing", nil, "archive")
	other := startGroup(t, 1)
	other.configure(t, "http://127.0.0.1:1")
	unchanged("another group", download(t, other.servers[0]), "not of this one")
	propose := func(c fsm.Command) {
		t.Helper()
		if r, err := (adminNode{s}).Propose(t.Context(), c); err != nil || r.Code != fsm.CodeOK {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	propose(&fsm.LockSet{Owner: "somebody"})
	unchanged("locked", b, "locked for maintenance by somebody")
	propose(&fsm.LockClear{Actor: "somebody"})
	propose(&fsm.WorkflowSet{Workflow: fsm.Workflow{ID: "w1", Kind: "upgrade", State: "paused"}})
	unchanged("beside a workflow", b, "workflow w1")
	// The sender hangs up in the middle.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.restore(ctx, admin.Restore{From: bytes.NewReader(b), Archive: "a"}); err == nil {
		t.Error("restored for nobody")
	}
}

// problemErrors are the reasons of a problem.
func problemErrors(err error) any {
	var p *client.Problem
	if errors.As(err, &p) {
		return p.Errors
	}
	return nil
}

// TestPartSender: whatever the writes are, the parts are whole but for the last, and in order.
func TestPartSender(t *testing.T) {
	var got []byte
	var sizes []int
	p := &partSender{ctx: t.Context(), id: "x", hash: noHash{}, propose: func(_ context.Context, c fsm.Command) (fsm.Result, error) {
		part := c.(*fsm.RestorePart)
		if part.At != uint64(len(got)) || part.ID != "x" {
			t.Errorf("part at %d, want %d", part.At, len(got))
		}
		got, sizes = append(got, part.Data...), append(sizes, len(part.Data))
		return fsm.Result{}, nil
	}}
	var want []byte
	for i, n := range []int{1, 0, fsm.MaxRestorePart - 1, 3 * fsm.MaxRestorePart, 7} {
		b := bytes.Repeat([]byte{byte(i)}, n)
		want = append(want, b...)
		if m, err := p.Write(b); m != n || err != nil {
			t.Fatal(m, err)
		}
	}
	if err := p.flush(); err != nil || !bytes.Equal(got, want) || !slices.Equal(sizes, []int{1 << 20, 1 << 20, 1 << 20, 1 << 20, 7}) || p.sent != uint64(len(want)) {
		t.Errorf("%v, parts %v, %d bytes of %d", err, sizes, len(got), len(want))
	}
	p.propose = func(context.Context, fsm.Command) (fsm.Result, error) {
		return fsm.Result{Code: fsm.CodeAbsent, Message: "given up"}, nil
	}
	if _, err := p.Write(make([]byte, fsm.MaxRestorePart)); err == nil || !strings.Contains(err.Error(), "given up") {
		t.Errorf("%v", err)
	}
	if _, err := p.Write([]byte{1}); err == nil {
		t.Error("it went on")
	}
}

// noHash hashes nothing.
type noHash struct{}

func (noHash) Write(p []byte) (int, error) { return len(p), nil }
func (noHash) Sum(b []byte) []byte         { return b }
func (noHash) Reset()                      {}
func (noHash) Size() int                   { return 0 }
func (noHash) BlockSize() int              { return 1 }

// TestRestoreNobodyGoesOnWith: after a while the leader gives it up.
func TestRestoreNobodyGoesOnWith(t *testing.T) {
	f := newFakeGroup()
	f.now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var under *fsm.Restoring
	f.refuse = func(c fsm.Command) error {
		if drop, ok := c.(*fsm.RestoreDrop); ok && under != nil && drop.ID == under.ID {
			under = nil
		}
		return nil
	}
	term := f.term("n1")
	term.clock = func() time.Time { return f.now }
	d := restoreDuty{term: term, under: func() (*fsm.Restoring, uint64) { return under, 0 }}
	look := func() time.Duration {
		t.Helper()
		again, err := d.look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return again
	}
	if look() != never {
		t.Error("there is nothing to wait for")
	}
	under = &fsm.Restoring{ID: "r1", Last: f.now.Add(-restoreIdle + 3*time.Second)}
	if again := look(); again != 3*time.Second || under == nil {
		t.Errorf("looks again after %v, %+v", again, under)
	}
	under.Last = f.now.Add(-restoreIdle)
	if look(); under != nil {
		t.Error("it is still under way")
	}
}
