package acme

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/certs"
)

// TestStoreIsOneOfCertmagic: values, lists and what is told of them are as certmagic.Storage says, on whichever node.
func TestStoreIsOneOfCertmagic(t *testing.T) {
	g := newGroup(t)
	s, ctx := g.store("n1", 1), t.Context()
	if _, err := s.Load(ctx, "a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("load: %v", err)
	}
	if _, err := s.Stat(ctx, "a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat: %v", err)
	}
	if _, err := s.List(ctx, "a", true); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("list: %v", err)
	}
	if err := s.Delete(ctx, "a"); err != nil {
		t.Errorf("delete of nothing: %v", err)
	}
	for _, key := range []string{"a/b/c", "a/b/d", "a/e", "ab"} {
		if err := s.Store(ctx, key, []byte("value of "+key)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Store(ctx, "a/e", []byte("other")); err != nil {
		t.Fatal(err)
	}
	next := g.store("n2", 2) // the next leader
	for key, want := range map[string]string{"a/b/c": "value of a/b/c", "a/e": "other", "ab": "value of ab"} {
		if got, err := next.Load(ctx, key); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", key, got, err)
		}
	}
	for _, c := range []struct {
		path      string
		recursive bool
		want      []string
	}{{"a", true, []string{"a/b/c", "a/b/d", "a/e"}}, {"a", false, []string{"a/b", "a/e"}}, {"a/b", false, []string{"a/b/c", "a/b/d"}}, {"", false, []string{"a", "ab"}}, {"", true, []string{"a/b/c", "a/b/d", "a/e", "ab"}}} {
		if got, err := next.List(ctx, c.path, c.recursive); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("list %q %v: %q, %v", c.path, c.recursive, got, err)
		}
	}
	if info, err := next.Stat(ctx, "a/e"); err != nil || !info.IsTerminal || info.Size != 5 || info.Modified.IsZero() || info.Key != "a/e" {
		t.Errorf("%+v, %v", info, err)
	}
	if info, err := next.Stat(ctx, "a/b"); err != nil || info.IsTerminal {
		t.Errorf("%+v, %v", info, err)
	}
	if !next.Exists(ctx, "a/b") || !next.Exists(ctx, "ab") || next.Exists(ctx, "a/b/cc") || next.Exists(ctx, "b") {
		t.Error("what exists")
	}
	if err := next.Delete(ctx, "a/b"); err != nil || next.Exists(ctx, "a/b/c") || !next.Exists(ctx, "a/e") || !next.Exists(ctx, "ab") {
		t.Errorf("delete: %v", err)
	}
}

// TestStoredValuesAreSealed: for the group and for their keys.
func TestStoredValuesAreSealed(t *testing.T) {
	g := newGroup(t)
	s, ctx := g.store("n1", 1), t.Context()
	if err := s.Store(ctx, "users/a.key", []byte("a private key")); err != nil {
		t.Fatal(err)
	}
	sealed := g.state.Operating().ACMEValue("users/a.key").Sealed
	if bytes.Contains(sealed, []byte("private")) {
		t.Error("it is in clear")
	}
	if _, err := g.propose(ctx, &fsm.ACMEStore{Key: "users/b.key", Sealed: sealed}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(ctx, "users/b.key"); !errors.Is(err, certs.ErrSealed) {
		t.Errorf("under another key: %v", err)
	}
	other := g.store("n1", 1)
	other.Secret = bytes.Repeat([]byte{1}, 32)
	if _, err := other.Load(ctx, "users/a.key"); !errors.Is(err, certs.ErrSealed) {
		t.Errorf("of another group: %v", err)
	}
}

// TestStoreRefuses: an error says what was to be done and why not.
func TestStoreRefuses(t *testing.T) {
	g := newGroup(t)
	s := g.store("n1", 1)
	for _, key := range []string{"", "/a", "a//b", "a b"} {
		if err := s.Store(t.Context(), key, nil); err == nil {
			t.Errorf("key %q is taken", key)
		}
	}
	if err := s.Store(t.Context(), "a", make([]byte, 1<<20)); err == nil {
		t.Error("a value of 1 MiB is taken")
	}
	if err := s.Unlock(t.Context(), "never"); err == nil {
		t.Error("a lock that nobody has is let go")
	}
	g.refuse = errors.New("no quorum")
	if err := s.Store(t.Context(), "a", nil); !errors.Is(err, g.refuse) {
		t.Errorf("%v", err)
	}
	if err := s.Lock(t.Context(), "a"); !errors.Is(err, g.refuse) {
		t.Errorf("%v", err)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Load(done, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := s.List(done, "a", true); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestLocks: the second one waits for the first, or for as long as it may; a lock that is used does not end; that of a leader that is gone stops nobody.
func TestLocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t)
		clock := func() { // the group's time goes with the bubble's
			g.mu.Lock()
			g.now = time.Now().Truncate(time.Millisecond)
			g.mu.Unlock()
		}
		s, ctx := g.store("n1", 1), t.Context()
		if err := s.Lock(ctx, "obtain/site"); err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if err := s.Lock(short, "obtain/site"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%v", err)
		}
		for range 20 { // twenty minutes of work
			time.Sleep(time.Minute / 2)
			clock()
			time.Sleep(time.Minute / 2)
			clock()
		}
		other := g.store("n1", 1)
		short, cancel = context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if err := other.Lock(short, "obtain/site"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a lock that is used has ended: %v", err)
		}
		got := make(chan error, 1)
		go func() { got <- other.Lock(ctx, "obtain/site") }()
		synctest.Wait()
		if err := s.Unlock(ctx, "obtain/site"); err != nil {
			t.Fatal(err)
		}
		if err := <-got; err != nil {
			t.Fatalf("after it was let go: %v", err)
		}
		next := g.store("n2", 2)
		if err := next.Lock(ctx, "obtain/site"); err != nil {
			t.Fatalf("the next leader: %v", err)
		}
		if err := other.Unlock(ctx, "obtain/site"); err == nil {
			t.Error("the leader before lets go what is not its own")
		}
		if l := g.state.Operating().ACMELockOf("obtain/site"); l == nil || l.Node != "n2" {
			t.Errorf("%+v", l)
		}
		next.Close() // it dies: nobody prolongs the lock
		time.Sleep(2 * time.Minute)
		clock()
		again := g.store("n3", 2)
		if err := again.Lock(ctx, "obtain/site"); err != nil {
			t.Errorf("after its time: %v", err)
		}
		again.Close()
	})
}

// TestChallengesWaitForTheNodes: an authority is not told of a challenge before the nodes would answer it.
func TestChallengesWaitForTheNodes(t *testing.T) {
	g := newGroup(t)
	s := g.store("n1", 1)
	var settled []uint64
	s.Settle = func(context.Context) { settled = append(settled, g.state.Operating().Index) }
	for _, key := range []string{"acme/ca/users/a.json", "acme/ca/challenge_tokens/a.example.json"} {
		if err := s.Store(t.Context(), key, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if len(settled) != 1 || settled[0] != 2 {
		t.Errorf("%v", settled)
	}
}
