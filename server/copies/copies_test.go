package copies

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/storage/shelf"
)

// ring are members that reach each other through memory, and share one state.
type ring struct {
	t     *testing.T
	state *fsm.State
	index uint64
	now   time.Time
	ids   []string
	nodes map[string]*Copies
	shelf map[string]*shelf.Shelf
	path  map[string]string

	mu   sync.Mutex
	dead map[string]bool
	lies map[string]func(question, reply []byte) []byte // what a member says instead
	full map[string]bool
	bad  map[string]error // why it takes nothing new
	asks map[string]int   // how often a member was asked
	sync error

	log    strings.Builder // of all members, from level warn on
	logger *slog.Logger
}

func newRing(t *testing.T, n int) *ring {
	t.Helper()
	r := &ring{t: t, state: fsm.New(), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), nodes: map[string]*Copies{}, shelf: map[string]*shelf.Shelf{}, path: map[string]string{},
		dead: map[string]bool{}, lies: map[string]func(question, reply []byte) []byte{}, full: map[string]bool{}, bad: map[string]error{}, asks: map[string]int{}}
	r.logger = slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	c := &config.Config{Clusters: []config.Cluster{{Name: "c", Modules: []config.Module{{ContextRoot: "/a", Enabled: true, Store: &config.Store{KV: true, Copies: config.CopiesTwo, MaxValue: 1 << 20, MaxBytes: 64 << 20}}}}}}
	r.do(&fsm.ConfigChange{Config: c})
	for i := range n {
		r.join(fmt.Sprintf("n%d/%d", i+1, i))
	}
	return r
}

func (r *ring) join(id string) *Copies {
	r.t.Helper()
	r.path[id] = r.t.TempDir()
	r.ids = append(r.ids, id)
	return r.open(id)
}

// open has a member begin, or begin again, with what is on its disk.
func (r *ring) open(id string) *Copies {
	r.t.Helper()
	kept, err := shelf.Open(r.path[id], shelf.Options{MaxBytes: 1 << 30, Now: func() time.Time { return r.now }, Room: func(int) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.full[id] {
			return errors.New("the disk is full")
		}
		return nil
	}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.shelf[id] = kept
	r.nodes[id] = New(Options{Self: func() string { return id }, Members: func() []string { return slices.Clone(r.ids) }, State: r.state, Sync: func(context.Context) error { return r.sync },
		Refuses: func() error { r.mu.Lock(); defer r.mu.Unlock(); return r.bad[id] }, Shelf: kept, Now: func() time.Time { return r.now },
		Logger: r.logger, Registerer: prometheus.NewRegistry(), Ask: r.ask})
	return r.nodes[id]
}

func (r *ring) ask(ctx context.Context, name string, question []byte) ([]byte, error) {
	for _, id := range r.ids {
		if nameOf(id) != name {
			continue
		}
		r.mu.Lock()
		dead, lie := r.dead[id], r.lies[id]
		r.asks[id]++
		r.mu.Unlock()
		if dead {
			return nil, errors.New("connection refused")
		}
		reply, err := r.nodes[id].Answer(ctx, question)
		if lie != nil {
			reply = lie(question, reply)
		}
		return reply, err
	}
	return nil, errors.New("no such member")
}

func (r *ring) do(c fsm.Command) fsm.Result {
	r.t.Helper()
	b, err := fsm.Encode(r.now, c)
	if err != nil {
		r.t.Fatal(err)
	}
	r.index++
	res, err := r.state.Apply(r.index, b)
	if err != nil {
		r.t.Fatal(err)
	}
	return res
}

func kv(key string) fsm.StoreKey { return fsm.StoreKey{Space: fsm.SpaceKV, Module: 1, Key: key} }

// put writes a value as a node does.
func (r *ring) put(at, key string, data []byte) *fsm.Stored {
	r.t.Helper()
	of, taken, err := r.nodes[at].Put(r.t.Context(), Place(kv(key)), data)
	if err != nil {
		r.t.Fatal(err)
	}
	if res := r.do(&fsm.StoreCopy{StoreKey: kv(key), Copy: of, Taken: taken}); res.Code != fsm.CodeOK {
		r.t.Fatalf("%+v", res)
	}
	return r.state.Stored(kv(key))
}

func (r *ring) mend(m Mending) Mended {
	r.t.Helper()
	if m.Away == nil {
		m.Away = func(string) bool { return false }
	}
	if m.Lacks == nil {
		m.Lacks = func(string) bool { return false }
	}
	m.Propose = func(_ context.Context, c fsm.Command) (fsm.Result, error) { return r.do(c), nil }
	done, err := r.nodes[r.ids[0]].Mend(r.t.Context(), m)
	if err != nil {
		r.t.Fatal(err)
	}
	return done
}

func value(n int) []byte { return bytes.Repeat([]byte{byte(n)}, 2000) }

// TestPutAndGet: two members keep a value, the ones that its key ranks first, and each member finds it.
func TestPutAndGet(t *testing.T) {
	r := newRing(t, 5)
	counts := map[string]int{}
	for n := range 50 {
		v := r.put(r.ids[n%5], fmt.Sprint("k", n), value(n))
		if want := ranked(Place(v.Address()), r.ids)[:2]; !slices.Equal(v.Copy.Holders, want) {
			t.Fatalf("%v, want %v", v.Copy.Holders, want)
		}
		for _, id := range r.ids {
			if got, err := r.nodes[id].Get(t.Context(), v.Copy); err != nil || !bytes.Equal(got, value(n)) {
				t.Fatalf("%s: %v", id, err)
			}
			if r.shelf[id].Has(v.Copy.Hash) != slices.Contains(v.Copy.Holders, id) {
				t.Errorf("%s has value %d", id, n)
			}
		}
		for _, id := range v.Copy.Holders {
			counts[id]++
		}
	}
	for _, id := range r.ids {
		if counts[id] < 8 || counts[id] > 34 {
			t.Errorf("%s has %d of 100 copies", id, counts[id])
		}
	}
}

// TestRanks: a member that goes moves what it had and nothing else.
func TestRanks(t *testing.T) {
	all := []string{"a/1", "b/2", "c/3", "d/4"}
	for n := range 200 {
		place := fmt.Sprint("k1/", n)
		before, after := ranked(place, all), ranked(place, all[1:])
		if want := slices.DeleteFunc(slices.Clone(before), func(id string) bool { return id == "a/1" }); !slices.Equal(after, want) {
			t.Fatalf("%v, then %v", before, after)
		}
		if backwards := slices.Clone(all); !slices.Equal(ranked(place, append(backwards[2:4:4], backwards[:2]...)), before) {
			t.Fatal("the order of the members matters")
		}
	}
	if a, b := ranked("x", []string{"a", "ax"}), ranked("xx", []string{"a"}); len(a) != 2 || len(b) != 1 {
		t.Error(a, b)
	}
}

// TestPutElsewhere: members that do not answer, have no room or take nothing new are passed over; with too few left nothing is promised.
func TestPutElsewhere(t *testing.T) {
	r := newRing(t, 4)
	order := ranked(Place(kv("k")), r.ids)
	r.dead[order[0]], r.full[order[1]] = true, true
	at := order[2]
	if v := r.put(at, "k", value(1)); !slices.Equal(slices.Sorted(slices.Values(v.Copy.Holders)), slices.Sorted(slices.Values(order[2:]))) {
		t.Errorf("%v of %v", v.Copy.Holders, order)
	}
	r.bad[order[3]] = errors.New("in quarantine")
	if _, _, err := r.nodes[at].Put(t.Context(), Place(kv("k")), value(2)); !errors.Is(err, ErrAway) || !strings.Contains(err.Error(), "in quarantine") {
		t.Errorf("%v", err)
	}
	delete(r.bad, order[3])
	delete(r.dead, order[0])
	for _, id := range r.ids {
		r.full[id] = true
	}
	if _, _, err := r.nodes[at].Put(t.Context(), Place(kv("k")), value(3)); !errors.Is(err, ErrFull) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := r.nodes[at].Put(ctx, Place(kv("k")), value(4)); err == nil {
		t.Error("there is an answer after the end")
	}
}

// TestOneMember: alone, one copy is all there can be; with a second member it gets the second one.
func TestOneMember(t *testing.T) {
	r := newRing(t, 1)
	if v := r.put(r.ids[0], "k", value(1)); len(v.Copy.Holders) != 1 {
		t.Fatal(v.Copy.Holders)
	}
	if done := r.mend(Mending{}); done != (Mended{}) {
		t.Errorf("%+v", done)
	}
	r.join("n2/1")
	if done := r.mend(Mending{}); done.Moved != 1 || len(r.state.Stored(kv("k")).Copy.Holders) != 2 || !r.shelf["n2/1"].Has(sha256.Sum256(value(1))) {
		t.Errorf("%+v", done)
	}
}

// TestLyingMembers: what a member sends is what was asked for, or nothing.
func TestLyingMembers(t *testing.T) {
	for name, lie := range map[string]func(q, reply []byte) []byte{
		"another value": func(_, _ []byte) []byte { return answer(statusOK, value(9)) }, "too short": func(_, r []byte) []byte { return r[:len(r)-1] }, "too long": func(_, r []byte) []byte { return append(slices.Clone(r), 0) },
		"empty": func(_, _ []byte) []byte { return nil }, "no bytes": func(_, _ []byte) []byte { return answer(statusOK, nil) }, "no status": func(_, _ []byte) []byte { return []byte{77} }, "absent": func(_, _ []byte) []byte { return answer(statusAbsent, nil) },
		"long text": func(_, _ []byte) []byte { return answer(statusFailed, bytes.Repeat([]byte("x"), 5000)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRing(t, 3)
			v := r.put(r.ids[0], "k", value(1))
			reader := r.ids[slices.IndexFunc(r.ids, func(id string) bool { return !slices.Contains(v.Copy.Holders, id) })]
			r.lies[v.Copy.Holders[0]] = lie
			if got, err := r.nodes[reader].Get(t.Context(), v.Copy); err != nil || !bytes.Equal(got, value(1)) {
				t.Fatalf("%v", err)
			}
			r.lies[v.Copy.Holders[1]] = lie
			_, err := r.nodes[reader].Get(t.Context(), v.Copy)
			if !errors.Is(err, ErrAway) || len(err.Error()) > 3000 {
				t.Errorf("%.200v", err)
			}
			if absent := errors.Is(err, shelf.ErrAbsent); absent != (name == "absent") {
				t.Errorf("it is certain that nobody has it: %v", absent)
			}
		})
	}
}

// TestHostileQuestions: what is no question is refused, and nothing is kept of it.
func TestHostileQuestions(t *testing.T) {
	r := newRing(t, 2)
	c := r.nodes[r.ids[0]]
	h := sha256.Sum256(value(1))
	good := (&question{op: opPut, hash: h, size: 2000, rest: value(1)}).encode()
	for name, b := range map[string][]byte{
		"nothing": {}, "mark": {mark}, "json": []byte(`{"do":"x"}`), "no op": {mark, 99}, "cut head": good[:30], "cut value": good[:len(good)-1], "longer": append(slices.Clone(good), 1),
		"size 0": (&question{op: opPut, hash: h}).encode(), "huge": (&question{op: opGet, hash: h, size: 1 << 31}).encode(), "get with rest": (&question{op: opGet, hash: h, size: 5, rest: []byte("x")}).encode(),
		"take from nobody": (&question{op: opTake, hash: h, size: 5}).encode(), "long name": (&question{op: opTake, hash: h, size: 5, rest: make([]byte, 129)}).encode(),
		"no hashes": {mark, byte(opHave)}, "part of a hash": append([]byte{mark, byte(opHave)}, make([]byte, 33)...), "too many": append([]byte{mark, byte(opHave)}, make([]byte, 32*(maxHashes+1))...), "hold and more": {mark, byte(opHold), 0},
	} {
		if _, err := c.Answer(t.Context(), b); !errors.Is(err, errMessage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, q := range map[string]*question{
		"wrong hash":           {op: opPut, hash: shelf.Hash{1}, size: 2000, rest: value(1)},
		"take from a stranger": {op: opTake, hash: h, size: 2000, rest: []byte("../../etc/passwd")},
		"take what is nowhere": {op: opTake, hash: h, size: 2000, rest: []byte(r.ids[1])},
	} {
		reply, err := c.Answer(t.Context(), q.encode())
		if err != nil || len(reply) == 0 || status(reply[0]) == statusOK {
			t.Errorf("%s: %v, %v", name, reply, err)
		}
	}
	if n, _ := r.shelf[r.ids[0]].Usage(); n != 0 {
		t.Errorf("%d values are kept", n)
	}
}

// TestMend: in the place of a holder that is gone another member has a value, and what nobody has is lost only when that is certain.
func TestMend(t *testing.T) {
	r := newRing(t, 4)
	for n := range 20 {
		r.put(r.ids[n%4], fmt.Sprint("k", n), value(n))
	}
	if done := r.mend(Mending{}); done != (Mended{}) {
		t.Errorf("nothing is wrong, and %+v", done)
	}
	gone := r.ids[3]
	r.dead[gone] = true
	silent := r.mend(Mending{Lacks: func(id string) bool { return id == gone }})
	if silent.Lost != 0 {
		t.Errorf("%+v", silent)
	}
	done := r.mend(Mending{Away: func(id string) bool { return id == gone }})
	if done.Stuck != 0 || done.Lost != 0 {
		t.Errorf("%+v", done)
	}
	for n := range 20 {
		v := r.state.Stored(kv(fmt.Sprint("k", n)))
		if slices.Contains(v.Copy.Holders, gone) || len(v.Copy.Holders) != 2 {
			t.Fatalf("%d: %v", n, v.Copy.Holders)
		}
		for _, id := range v.Copy.Holders {
			if !r.shelf[id].Has(v.Copy.Hash) {
				t.Errorf("%s has not value %d", id, n)
			}
		}
	}
	// Both holders are silent: nobody says that it is lost.
	v := r.state.Stored(kv("k0"))
	for _, id := range v.Copy.Holders {
		r.dead[id] = true
	}
	away := func(id string) bool { return r.dead[id] }
	if done := r.mend(Mending{Away: away}); done.Stuck == 0 || done.Lost != 0 || r.state.StoredLost(kv("k0")) != nil || !errors.Is(done.Failure, ErrAway) {
		t.Errorf("%+v", done)
	}
	// They come back with empty disks.
	for _, id := range v.Copy.Holders {
		delete(r.dead, id)
		r.wipe(id, v.Copy.Hash)
	}
	if done := r.mend(Mending{Lacks: func(id string) bool { return slices.Contains(v.Copy.Holders, id) }}); done.Lost != 1 || r.state.StoredLost(kv("k0")) == nil {
		t.Errorf("%+v", done)
	}
}

// TestUnsureIsNotLost: a member that has a value and cannot make certain that it stays, because it is out of descriptors for a moment or its disk fails, is no reason to take the value for lost, whoever is asked
// and whether it was named or only found.
func TestUnsureIsNotLost(t *testing.T) {
	for _, at := range []int{0, 1} { // who mends
		r := newRing(t, 2)
		v := r.put(r.ids[0], "k", value(1))
		name := fmt.Sprintf("%x", v.Copy.Hash)
		r.wipe(r.ids[1], v.Copy.Hash)
		r.open(r.ids[0])
		dir := filepath.Join(r.path[r.ids[0]], name[:2])
		if err := errors.Join(os.Rename(dir, dir+".aside"), os.Symlink(dir, dir)); err != nil { // it cannot be opened
			t.Fatal(err)
		}
		mend := func(what string) Mended {
			done, err := r.nodes[r.ids[at]].Mend(t.Context(), Mending{Away: func(string) bool { return false }, Lacks: func(string) bool { return true },
				Propose: func(_ context.Context, c fsm.Command) (fsm.Result, error) { return r.do(c), nil }})
			if err != nil || done.Lost != 0 || r.state.StoredLost(kv("k")) != nil {
				t.Fatalf("%s: %+v, %v", what, done, err)
			}
			return done
		}
		if done := mend("named"); done.Stuck != 1 {
			t.Errorf("named: %+v", done)
		}
		r.do(&fsm.StoreHolders{Taken: r.now, Seen: r.index, Moves: []fsm.StoreMove{{StoreKey: kv("k"), Version: v.Version, Holders: []string{r.ids[1]}}}})
		if done := mend("found"); done.Stuck != 1 {
			t.Errorf("found: %+v", done)
		}
		if err := errors.Join(os.Remove(dir), os.Rename(dir+".aside", dir)); err != nil {
			t.Fatal(err)
		}
		if done := mend("well again"); done.Moved != 1 || done.Stuck != 0 {
			t.Errorf("well again: %+v", done)
		}
	}
}

// TestMendOfLate: who finds a value nowhere, and says so when others have found it meanwhile and given it to its holders again, takes it from nobody.
func TestMendOfLate(t *testing.T) {
	r := newRing(t, 3)
	v := r.put(r.ids[0], "k", value(1))
	other := r.ids[slices.IndexFunc(r.ids, func(id string) bool { return !slices.Contains(v.Copy.Holders, id) })]
	for _, id := range v.Copy.Holders {
		r.wipe(id, v.Copy.Hash)
	}
	lacks := func(string) bool { return true }
	done, err := r.nodes[r.ids[0]].Mend(t.Context(), Mending{Away: func(string) bool { return false }, Lacks: lacks, Propose: func(_ context.Context, c fsm.Command) (fsm.Result, error) {
		if moves := c.(*fsm.StoreHolders).Moves; len(moves) != 1 || len(moves[0].Holders) != 0 {
			t.Fatalf("%+v", moves)
		}
		if err := r.shelf[other].Put(v.Copy.Hash, value(1)); err != nil { // a member that had it all the time is back
			t.Fatal(err)
		}
		if done := r.mend(Mending{Lacks: lacks}); done.Moved != 1 || done.Lost != 0 {
			t.Errorf("%+v", done)
		}
		return r.do(c), nil
	}})
	if err != nil || done.Lost != 0 {
		t.Errorf("%+v, %v", done, err)
	}
	next := r.state.Stored(kv("k"))
	if next == nil {
		t.Fatal("it is lost")
	}
	for _, id := range next.Copy.Holders {
		if !r.shelf[id].Has(next.Copy.Hash) {
			t.Errorf("%s has it not", id)
		}
	}
}

// wipe takes a value off the disk of a member, which finds that out.
func (r *ring) wipe(id string, h shelf.Hash) {
	r.t.Helper()
	name := fmt.Sprintf("%x", h)
	if err := os.Remove(filepath.Join(r.path[id], name[:2], name)); err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.shelf[id].Get(h); !errors.Is(err, shelf.ErrAbsent) {
		r.t.Fatal(err)
	}
}

// TestDamageIsSaid: a file with other bytes than were written costs nothing, and its node says so, whether it was read for a client of its own or for another member.
func TestDamageIsSaid(t *testing.T) {
	for _, other := range []bool{false, true} {
		r := newRing(t, 2)
		v := r.put(r.ids[0], "k0", value(0))
		name := fmt.Sprintf("%x", v.Copy.Hash)
		if err := os.WriteFile(filepath.Join(r.path[r.ids[0]], name[:2], name), value(1), 0o600); err != nil {
			t.Fatal(err)
		}
		if other {
			r.wipe(r.ids[1], v.Copy.Hash)
		}
		if data, err := r.nodes[r.ids[map[bool]int{true: 1}[other]]].Get(t.Context(), v.Copy); (err == nil) == other || !other && !bytes.Equal(data, value(0)) {
			t.Errorf("asked by another: %v: %d bytes, %v", other, len(data), err)
		}
		if got := r.log.String(); strings.Count(got, "was damaged on its disk") != 1 || !strings.Contains(got, name) {
			t.Errorf("asked by another: %v: %q", other, got)
		}
	}
}

// TestMendFindsWhatNothingNames: a member that had a value before, and has it still, gives it back.
func TestMendFindsWhatNothingNames(t *testing.T) {
	r := newRing(t, 3)
	v := r.put(r.ids[0], "k", value(1))
	other := r.ids[slices.IndexFunc(r.ids, func(id string) bool { return !slices.Contains(v.Copy.Holders, id) })]
	if err := r.shelf[other].Put(v.Copy.Hash, value(1)); err != nil {
		t.Fatal(err)
	}
	for _, id := range v.Copy.Holders {
		r.wipe(id, v.Copy.Hash)
	}
	if done := r.mend(Mending{Lacks: func(id string) bool { return id != other }}); done.Lost != 0 || done.Stuck != 0 {
		t.Errorf("%+v", done)
	}
	next := r.state.Stored(kv("k"))
	if next == nil || len(next.Copy.Holders) != 2 {
		t.Fatalf("%+v", next)
	}
	for _, id := range next.Copy.Holders {
		if got, err := r.shelf[id].Get(next.Copy.Hash); err != nil || !bytes.Equal(got, value(1)) {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// TestLeaving: a member that is to go has nothing any more; the last one that has a value keeps it.
func TestLeaving(t *testing.T) {
	r := newRing(t, 4)
	for n := range 10 {
		r.put(r.ids[0], fmt.Sprint("k", n), value(n))
	}
	leaves := r.ids[1]
	if done := r.mend(Mending{Leaves: leaves}); done.Stuck != 0 {
		t.Errorf("%+v", done)
	}
	for n := range 10 {
		if v := r.state.Stored(kv(fmt.Sprint("k", n))); slices.Contains(v.Copy.Holders, leaves) || len(v.Copy.Holders) != 2 {
			t.Errorf("%v", v.Copy.Holders)
		}
	}
	for _, id := range r.ids {
		r.full[id] = id != r.state.Stored(kv("k0")).Copy.Holders[0]
	}
	last := r.state.Stored(kv("k0")).Copy.Holders[0]
	r.wipe(r.state.Stored(kv("k0")).Copy.Holders[1], r.state.Stored(kv("k0")).Copy.Hash)
	if done := r.mend(Mending{Leaves: last}); done.Stuck == 0 || r.state.Stored(kv("k0")) == nil {
		t.Errorf("%+v", done)
	}
}

// TestLeavingAlone: a member that is to go is the only one that has a value, though another is named: nobody takes that for certain.
func TestLeavingAlone(t *testing.T) {
	for name, nodes := range map[string]int{"nobody has room": 3, "the other holder is silent": 2} {
		r := newRing(t, nodes)
		v := r.put(r.ids[0], "k", value(1))
		leaves, other := v.Copy.Holders[0], v.Copy.Holders[1]
		r.wipe(other, v.Copy.Hash)
		for _, id := range r.ids {
			r.full[id] = true
		}
		r.dead[other] = nodes == 2
		done := r.mend(Mending{Leaves: leaves})
		if next := r.state.Stored(kv("k")); done.Alone != 1 || !slices.Contains(next.Copy.Holders, leaves) {
			t.Errorf("%s: %+v, %v", name, done, next.Copy.Holders)
		}
	}
}

// TestLook: a node fetches what it lacks, keeps what is named, and throws the rest away only when its state is no older than the group's, and when nobody reads it for an archive.
func TestLook(t *testing.T) {
	r := newRing(t, 3)
	v := r.put(r.ids[0], "k", value(1))
	id := v.Copy.Holders[0]
	r.wipe(id, v.Copy.Hash)
	r.dead[v.Copy.Holders[1]] = true
	r.nodes[id].Look(t.Context())
	if r.nodes[id].Missing() != 1 {
		t.Errorf("%d are missing", r.nodes[id].Missing())
	}
	delete(r.dead, v.Copy.Holders[1])
	r.nodes[id].Look(t.Context())
	if r.nodes[id].Missing() != 0 || !r.shelf[id].Has(v.Copy.Hash) {
		t.Errorf("%d are missing", r.nodes[id].Missing())
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r.nodes[id].Hold(ctx)
	for _, n := range r.nodes {
		if !n.holds() {
			t.Error("a member would throw away")
		}
	}
}

// TestLookThrowsAway: what nothing names goes in time; but never by a state that may be old or wrong.
func TestLookThrowsAway(t *testing.T) {
	r := newRing(t, 2)
	v := r.put(r.ids[0], "k", value(1))
	id := r.ids[0]
	other := sha256.Sum256(value(2))
	if err := r.shelf[id].Put(other, value(2)); err != nil {
		t.Fatal(err)
	}
	r.now = r.now.Add(2 * shelf.Fresh)
	stays := func(why string) {
		t.Helper()
		r.nodes[id].Look(t.Context())
		if !r.shelf[id].Has(other) || !r.shelf[id].Has(v.Copy.Hash) {
			t.Fatalf("it was thrown away though %s", why)
		}
	}
	r.sync = errors.New("no leader")
	stays("the state may be old")
	r.sync, r.bad[id] = nil, errors.New("in quarantine")
	stays("the state may be wrong")
	delete(r.bad, id)
	members := r.ids
	r.ids = r.ids[1:]
	stays("it is no member")
	r.ids = members
	r.nodes[id].Look(t.Context())
	if r.shelf[id].Has(other) || !r.shelf[id].Has(v.Copy.Hash) {
		t.Error("what nothing names stays, or what is named went")
	}
}

// TestReplacedBetweenTwoLooks: a value that was written and replaced, or removed, before any look has seen it costs its room for seconds, not for minutes; what was only promised stays.
func TestReplacedBetweenTwoLooks(t *testing.T) {
	r := newRing(t, 2)
	for n := range 20 {
		r.put(r.ids[n%2], "k", value(n))
	}
	r.put(r.ids[0], "l", value(98))
	r.do(&fsm.StoreDelete{StoreKey: kv("l")})
	if _, _, err := r.nodes[r.ids[0]].Put(t.Context(), Place(kv("m")), value(99)); err != nil {
		t.Fatal(err)
	}
	id := r.ids[0] // the state tells one node alone; here all have the same one
	for range 6 {
		r.nodes[id].Look(t.Context())
		r.now = r.now.Add(keepEvery)
	}
	if n, _ := r.shelf[id].Usage(); n != 2 || !r.shelf[id].Has(sha256.Sum256(value(19))) || !r.shelf[id].Has(sha256.Sum256(value(99))) {
		t.Errorf("%d values are kept, want 2: the last one and the one that was promised", n)
	}
}

// TestLookThrowsNothingAwayThatCameMeanwhile: a look that takes minutes, because much is fetched, goes by what was known when it began: what was put and named since then stays.
func TestLookThrowsNothingAwayThatCameMeanwhile(t *testing.T) {
	r := newRing(t, 2)
	v := r.put(r.ids[0], "k", value(1))
	id, other := r.ids[0], r.ids[1]
	r.wipe(id, v.Copy.Hash)
	var late *fsm.Stored
	r.lies[other] = func(_, reply []byte) []byte {
		delete(r.lies, other)
		late = r.put(other, "late", value(2))
		r.now = r.now.Add(2 * shelf.Fresh)
		return reply
	}
	r.nodes[id].Look(t.Context())
	if late == nil || !slices.Contains(late.Copy.Holders, id) {
		t.Fatal("nothing was written meanwhile")
	}
	if !r.shelf[id].Has(late.Copy.Hash) {
		t.Error("a value that the group has acknowledged was thrown away")
	}
}

// TestACommitOfLateNeverNamesWhatIsGone: a node stands still between the promise and its commit, while the key that had the same bytes gets others. What it commits then is there, or it commits nothing.
func TestACommitOfLateNeverNamesWhatIsGone(t *testing.T) {
	for _, pause := range []time.Duration{5 * time.Second, 20 * time.Second, 50 * time.Second, 2 * time.Minute} {
		r := newRing(t, 2)
		r.put(r.ids[0], "k", value(1))
		look := func() {
			for _, id := range r.ids {
				r.nodes[id].Look(t.Context())
			}
		}
		look()
		of, taken, err := r.nodes[r.ids[0]].Put(t.Context(), Place(kv("l")), value(1))
		if err != nil {
			t.Fatal(err)
		}
		look()
		r.put(r.ids[1], "k", value(2))
		for range 5 {
			r.now = r.now.Add(pause / 5)
			look()
		}
		if res := r.do(&fsm.StoreCopy{StoreKey: kv("l"), Copy: of, Taken: taken}); res.Code != fsm.CodeOK {
			continue
		}
		for _, id := range of.Holders {
			if !r.shelf[id].Has(of.Hash) {
				t.Errorf("after %v %s has thrown away what is committed now", pause, id)
			}
		}
	}
}

// TestLookAsksASilentMemberOnce: many values of which a silent member has the other copy do not each wait for it, in the way of those that others have.
func TestLookAsksASilentMemberOnce(t *testing.T) {
	r := newRing(t, 2)
	id, other := r.ids[0], r.ids[1]
	for n := range 10 {
		v := r.put(id, fmt.Sprint("k", n), value(n))
		r.wipe(id, v.Copy.Hash)
	}
	r.dead[other] = true
	before := r.asks[other]
	r.nodes[id].Look(t.Context())
	if n := r.asks[other] - before; n != 1 || r.nodes[id].Missing() != 10 {
		t.Errorf("a member that does not answer was asked %d times, and %d values are missing", n, r.nodes[id].Missing())
	}
}

// FuzzAnswer: whatever a member sends, it is answered or refused, and nothing wrong is ever kept.
func FuzzAnswer(f *testing.F) {
	h := sha256.Sum256(value(1))
	for _, q := range []*question{{op: opPut, hash: h, size: 2000, rest: value(1)}, {op: opGet, hash: h, size: 2000}, {op: opTake, hash: h, size: 2000, rest: []byte("n1/0")}, {op: opHave, hashes: []shelf.Hash{h, {}}}, {op: opHold}} {
		f.Add(q.encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := decode(b)
		if err != nil {
			return
		}
		if again := q.encode(); !bytes.Equal(again, b) {
			t.Fatalf("%x was read as %x", b, again)
		}
		if _, err := opened(b); err == nil && b[0] != 0 {
			t.Fatal("a question is an answer")
		}
	})
}
