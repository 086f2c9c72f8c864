package lb

import (
	"testing"

	"github.com/holdfast-lb/holdfast/fsm"
)

// afterDisaster is a group of epoch 2 that began again with everything up to entry end of epoch 1 and with two instance ids; it has gone on by some
// entries. The third instance has an id that epoch 1 may have given to another one.
func afterDisaster(t *testing.T) (r *rig, apps []*app, end uint64) {
	apps = []*app{newApp(t, "i1", nil), newApp(t, "i2", nil), newApp(t, "i3", nil)}
	r = newRig(t, conf(of(apps...)...))
	r.g.with(func() {
		end = r.g.index
		g := *r.g.group
		g.Epoch, g.Epochs = 2, []fsm.EpochStart{{Epoch: 2, After: 1, Index: end, Instances: 2}}
		r.g.group = &g
		r.g.index += 10
	})
	return r, apps, end
}

// cookieOf seals what an earlier epoch gave to a client.
func cookieOf(t *testing.T, r *rig, c Cookie) string {
	t.Helper()
	keys, err := r.b.keys()
	if err != nil {
		t.Fatal(err)
	}
	return keys.seal(c, scopeOf("c1", "", "/"))
}

func (g *fakeGroup) put(key fsm.Key, a fsm.Assignment) { g.with(func() { g.table[key] = a }) }

// TestCookieBeyondTheArchiveMendsTheRecord: the session was moved behind the archive. The client goes where it was, the record follows, and from then on the
// table is right again, whatever old cookie comes.
func TestCookieBeyondTheArchiveMendsTheRecord(t *testing.T) {
	r, _, end := afterDisaster(t)
	key := fsm.Key{7}
	r.g.put(key, fsm.Assignment{Instance: 1, Index: end - 1})
	old := cookieOf(t, r, Cookie{Epoch: 1, Index: end + 5, Instance: 2, Key: key})
	first := present(t, r, "/", old)
	if first.body != "i2" {
		t.Fatalf("went to %s", first.body)
	}
	fresh := cookieNamed(first, "HOLDFAST")
	if fresh == nil {
		t.Fatal("no cookie of the new epoch")
	}
	if a := r.g.sessions()[key]; a.Instance != 2 || a.Index <= end {
		t.Fatalf("record %+v", a)
	}
	if _, err := r.node.Record(t.Context(), fsm.SessionOp{Kind: fsm.OpMove, Key: key, Expect: 2, Instance: 1, Reason: fsm.ReasonOperator}); err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{old, fresh.Value} {
		if got := present(t, r, "/", value); got.body != "i1" {
			t.Errorf("a cookie from before a move of this epoch led to %s", got.body)
		}
	}
	if moves := len(r.g.moves()); moves != 2 {
		t.Errorf("%d moves", moves)
	}
}

// TestTheTableBeatsOldCookies: what the group still knows is as new as the cookie, or newer.
func TestTheTableBeatsOldCookies(t *testing.T) {
	r, _, end := afterDisaster(t)
	for name, c := range map[string]struct {
		cookie  Cookie
		decided uint64
	}{
		"within the archive":           {Cookie{Epoch: 1, Index: end, Instance: 2}, end - 1},
		"the record is of this epoch":  {Cookie{Epoch: 1, Index: end + 100, Instance: 2}, end + 1},
		"provisional":                  {Cookie{Epoch: 1, Provisional: true, Instance: 2}, end - 1},
		"an instance that is unknown":  {Cookie{Epoch: 1, Index: end + 5, Instance: 3}, end - 1},
		"an epoch before all of these": {Cookie{Epoch: 0, Index: end - 1, Instance: 2}, end - 1},
	} {
		key := fsm.Key{1, byte(len(name))}
		r.g.put(key, fsm.Assignment{Instance: 1, Index: c.decided})
		c.cookie.Key = key
		if got := present(t, r, "/", cookieOf(t, r, c.cookie)); got.body != "i1" {
			t.Errorf("%s: went to %s", name, got.body)
		}
	}
	if moves := len(r.g.moves()); moves != 0 {
		t.Errorf("%d moves", moves)
	}
}

// TestCookieOfALostInstanceNamesNobody: its id is another instance's now. The session is placed anew, under its key.
func TestCookieOfALostInstanceNamesNobody(t *testing.T) {
	r, apps, end := afterDisaster(t)
	for i, c := range []Cookie{{Epoch: 1, Index: end + 5}, {Epoch: 1, Provisional: true}} {
		seen := map[string]bool{}
		for n := range byte(12) {
			c.Instance, c.Key = 3, fsm.Key{9, byte(i), n}
			got := present(t, r, "/", cookieOf(t, r, c))
			seen[got.body] = true
			a, ok := r.g.sessions()[c.Key]
			if !ok || cookieNamed(got, "HOLDFAST") == nil {
				t.Fatalf("%+v: not recorded under its key", c)
			}
			if want := apps[a.Instance-1].name; got.body != want {
				t.Errorf("%+v: answered by %s, recorded for %s", c, got.body, want)
			}
		}
		if len(seen) != 3 {
			t.Errorf("%+v: all went to %v, as if the id still meant something", c, seen)
		}
	}
}

// TestMendWithoutAQuorum: the cookie still leads the client to its session.
func TestMendWithoutAQuorum(t *testing.T) {
	for _, rule := range []string{"provisional", "refuse"} {
		r, _, end := afterDisaster(t)
		next := clone(r.g.rev.Config)
		next.OnQuorumLoss = rule
		r.apply(next)
		key := fsm.Key{7}
		r.g.put(key, fsm.Assignment{Instance: 1, Index: end - 1})
		r.g.with(func() { r.g.quorum = false })
		value := cookieOf(t, r, Cookie{Epoch: 1, Index: end + 5, Instance: 2, Key: key})
		for range 2 {
			if got := present(t, r, "/", value); got.StatusCode != 200 || got.body != "i2" {
				t.Errorf("%s: %d from %s", rule, got.StatusCode, got.body)
			}
		}
		r.g.with(func() { r.g.quorum = true })
		if got := present(t, r, "/", value); got.body != "i2" || r.g.sessions()[key].Instance != 2 {
			t.Errorf("%s: afterwards %s, record %+v", rule, got.body, r.g.sessions()[key])
		}
	}
}

// TestMendOfAnInstanceThatIsDown: the record is as good as the cookie then.
func TestMendOfAnInstanceThatIsDown(t *testing.T) {
	r, _, end := afterDisaster(t)
	next := clone(r.g.rev.Config)
	next.Clusters[0].Instances[1].Listeners = []string{deadURL(t)}
	r.apply(next)
	key := fsm.Key{7}
	r.g.put(key, fsm.Assignment{Instance: 1, Index: end - 1})
	value := cookieOf(t, r, Cookie{Epoch: 1, Index: end + 5, Instance: 2, Key: key})
	for range 3 {
		if got := present(t, r, "/", value); got.StatusCode != 200 || got.body == "i2" {
			t.Fatalf("%d from %s", got.StatusCode, got.body)
		}
	}
}

// otherHistory is a group whose epoch 2, of line 20, began with two instances; another heir of epoch 1 had an epoch 2 of line 21, and an epoch 3 of line 30.
func otherHistory(t *testing.T) (r *rig, apps []*app, end uint64) {
	r, apps, end = afterDisaster(t)
	r.g.with(func() {
		g := *r.g.group
		g.Epochs = []fsm.EpochStart{{Epoch: 2, After: 1, Index: end, Instances: 2, Line: 20}}
		r.g.group = &g
	})
	return r, apps, end
}

// TestCookieOfAnotherHistoryNamesNobody: an epoch's number can belong to two histories, and so can an instance's id. The id in a cookie counts only where it was given out in the same epoch as here;
// otherwise the session is placed anew, recorded, and gets a cookie of this history.
func TestCookieOfAnotherHistoryNamesNobody(t *testing.T) {
	r, apps, end := otherHistory(t)
	for name, c := range map[string]Cookie{
		"the same number":             {Epoch: 2, Line: 21, Index: end + 5, Born: 21},
		"beyond what this node knows": {Epoch: 2, Line: 21, Index: end + 1000, Born: 21},
		"a later number":              {Epoch: 3, Line: 30, Index: end + 5, Born: 21},
		"later and beyond":            {Epoch: 3, Line: 30, Index: end + 1000, Born: 30},
		"lost with the first epoch":   {Epoch: 3, Line: 30, Index: end + 1000, Born: 0},
		"provisional":                 {Epoch: 2, Line: 21, Born: 21, Provisional: true},
		"provisional and later":       {Epoch: 3, Line: 30, Born: 30, Provisional: true},
	} {
		seen := map[string]bool{}
		for n := range byte(12) {
			c.Instance, c.Key = 3, fsm.Key{9, byte(len(name)), n}
			got := present(t, r, "/", cookieOf(t, r, c))
			seen[got.body] = true
			a, ok := r.g.sessions()[c.Key]
			fresh := cookieNamed(got, "HOLDFAST")
			if !ok || fresh == nil {
				t.Fatalf("%s: not recorded under its key", name)
			}
			if want := apps[a.Instance-1].name; got.body != want {
				t.Errorf("%s: answered by %s, recorded for %s", name, got.body, want)
			}
			if again := present(t, r, "/", fresh.Value); again.body != got.body || cookieNamed(again, "HOLDFAST") != nil {
				t.Errorf("%s: with the new cookie it went to %s, was at %s", name, again.body, got.body)
			}
		}
		if len(seen) != 3 {
			t.Errorf("%s: all went to %v, as if the id still meant something", name, seen)
		}
	}
}

// TestCookieOfAnotherHistoryLeadsToASharedInstance: the instance is from before the two parted. The client goes there, and the session is recorded.
func TestCookieOfAnotherHistoryLeadsToASharedInstance(t *testing.T) {
	r, _, end := otherHistory(t)
	for i, c := range []Cookie{
		{Epoch: 2, Line: 21, Index: end + 5}, {Epoch: 2, Line: 21, Index: end + 1000}, {Epoch: 3, Line: 30, Index: end + 5}, {Epoch: 3, Line: 30, Index: end + 1000},
		{Epoch: 3, Line: 30, Provisional: true},
	} {
		c.Instance, c.Key = 2, fsm.Key{8, byte(i)}
		got := present(t, r, "/", cookieOf(t, r, c))
		if got.body != "i2" || cookieNamed(got, "HOLDFAST") == nil {
			t.Errorf("%+v: went to %s, or without a new cookie", c, got.body)
		}
		if a := r.g.sessions()[c.Key]; a.Instance != 2 {
			t.Errorf("%+v: record %+v", c, a)
		}
		moved := fsm.Key{7, byte(i)}
		r.g.put(moved, fsm.Assignment{Instance: 1, Index: end - 1})
		c.Key = moved
		if got := present(t, r, "/", cookieOf(t, r, c)); !c.Provisional && got.body != "i2" {
			t.Errorf("%+v: a session that was moved in the other history went to %s", c, got.body)
		}
	}
}

// TestCookieOfThisHistory: it says which line its instance is of, is good as ever, and one that is ahead of this node is believed.
func TestCookieOfThisHistory(t *testing.T) {
	r, _, end := otherHistory(t)
	seen := map[uint32]bool{}
	for range 6 {
		first := present(t, r, "/")
		value := cookieNamed(first, "HOLDFAST").Value
		c, err := OpenCookie(r.g.group, "c1", "", "/", value)
		if err != nil || c.Epoch != 2 || c.Line != 20 || c.Born != r.g.group.Born(c.Instance) || c.Instance == 0 {
			t.Fatalf("%+v, %v", c, err)
		}
		seen[c.Born] = true
		if again := present(t, r, "/", value); again.body != first.body {
			t.Errorf("%s, then %s", first.body, again.body)
		}
	}
	if !seen[0] || !seen[20] {
		t.Errorf("lines of instances: %v", seen)
	}
	ahead := Cookie{Epoch: 2, Line: 20, Index: end + 1000, Instance: 3, Born: 20, Key: fsm.Key{3}}
	if got := present(t, r, "/", cookieOf(t, r, ahead)); got.body != "i3" || len(got.Cookies()) != 0 {
		t.Errorf("ahead: %s", got.body)
	}
	foreign, err := OpenCookie(r.g.group, "c1", "", "/", cookieOf(t, r, Cookie{Epoch: 2, Line: 21, Index: end + 5, Instance: 3, Born: 21}))
	if err != nil || foreign.Instance != 0 {
		t.Errorf("an operator is told of instance %d: %v", foreign.Instance, err)
	}
}

// TestCookieOfALaterEpochWithoutAQuorum: whether this node is behind cannot be found out, so the cookie is believed.
func TestCookieOfALaterEpochWithoutAQuorum(t *testing.T) {
	r, _, end := otherHistory(t)
	r.g.with(func() { r.g.quorum = false })
	value := cookieOf(t, r, Cookie{Epoch: 3, Line: 30, Index: end + 1000, Instance: 2, Key: fsm.Key{6}})
	if got := present(t, r, "/", value); got.StatusCode != 200 || got.body != "i2" {
		t.Errorf("%d from %s", got.StatusCode, got.body)
	}
}

// TestMovedByAnOperator: the client gets a cookie that says so, once; when the group begins again with what it had before the move the session stays where it was moved to.
func TestMovedByAnOperator(t *testing.T) {
	r, _, _ := afterDisaster(t)
	first := present(t, r, "/", cookieOf(t, r, Cookie{Epoch: 2, Index: 1, Instance: 1, Key: fsm.Key{5}, Provisional: true}))
	value := cookieNamed(first, "HOLDFAST").Value
	before := r.g.sessions()[fsm.Key{5}]
	if _, err := r.node.Record(t.Context(), fsm.SessionOp{Kind: fsm.OpMove, Key: fsm.Key{5}, Expect: 1, Instance: 2, Reason: fsm.ReasonOperator}); err != nil {
		t.Fatal(err)
	}
	second := present(t, r, "/", value)
	fresh := cookieNamed(second, "HOLDFAST")
	if second.body != "i2" || fresh == nil {
		t.Fatalf("went to %s, new cookie: %v", second.body, fresh != nil)
	}
	c, err := OpenCookie(r.g.group, "c1", "", "/", fresh.Value)
	if err != nil || c.Instance != 2 || c.Provisional || c.Index != r.g.sessions()[fsm.Key{5}].Index {
		t.Errorf("the new cookie says %+v, %v", c, err)
	}
	if third := present(t, r, "/", fresh.Value); third.body != "i2" || cookieNamed(third, "HOLDFAST") != nil {
		t.Errorf("then it went to %s, or got one more", third.body)
	}
	r.g.with(func() {
		g := *r.g.group
		g.Epoch, g.Epochs = 3, append(g.Epochs, fsm.EpochStart{Epoch: 3, After: 2, Index: before.Index, Instances: 3, Line: 9})
		r.g.group = &g
		r.g.table[fsm.Key{5}] = before
	})
	if got := present(t, r, "/", fresh.Value); got.body != "i2" || r.g.sessions()[fsm.Key{5}].Instance != 2 {
		t.Errorf("after the restore it went to %s", got.body)
	}
}
