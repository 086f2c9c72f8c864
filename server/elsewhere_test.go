package server

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/raftnode"
)

func TestWhoMayHaveAQuorum(t *testing.T) {
	voter := func(name, how string) raftnode.MemberInfo {
		m := raftnode.MemberInfo{Name: name, Voter: true}
		switch how {
		case "leads":
			m.Reachable, m.Info.Quorum = true, true
		case "alone":
			m.Reachable = true
		case "alone, longer log":
			m.Reachable, m.Info.LastLog = true, 1
		case "refuses":
			m.Refused = true
		}
		return m
	}
	for _, c := range []struct {
		what   string
		others []string
		want   bool
	}{
		{"both are silent: they may see each other", []string{"silent", "silent"}, true},
		{"one is dead: the other one is no majority", []string{"refuses", "silent"}, false},
		{"both are dead", []string{"refuses", "refuses"}, false},
		{"one says that it is alone", []string{"alone", "silent"}, false},
		{"one that is alone has more in its log, which a dead leader may have told clients of", []string{"alone, longer log", "refuses"}, true},
		{"one has a quorum, which this node will hear of", []string{"leads", "refuses"}, true},
		{"two of five are dead: the other two are no majority", []string{"refuses", "refuses", "silent", "silent"}, false},
		{"one of five is dead", []string{"refuses", "silent", "silent", "silent"}, true},
		{"two of four may not", []string{"refuses", "silent", "silent"}, false},
		{"a single node", nil, false},
	} {
		members := []raftnode.MemberInfo{voter("n1", "alone"), {Name: "reader"}}
		for i, how := range c.others {
			members = append(members, voter("m"+string(rune('a'+i)), how))
		}
		if got := mayHaveQuorum(members, "n1"); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
	if !mayHaveQuorum(nil, "n1") {
		t.Error("without a membership nothing is certain")
	}
	removed := []raftnode.MemberInfo{voter("n2", "silent"), voter("n3", "silent")}
	if !mayHaveQuorum(removed, "n1") {
		t.Error("a node that is no member has no say")
	}
}

func TestWhoMayDecide(t *testing.T) {
	self := raftnode.MemberInfo{Name: "n1", Voter: true, Reachable: true}
	dead := raftnode.MemberInfo{Name: "n2", Voter: true, Refused: true}
	silent := raftnode.MemberInfo{Name: "n2", Voter: true}
	follows := func(leader string) raftnode.MemberInfo {
		return raftnode.MemberInfo{Name: "n3", Voter: true, Reachable: true, Info: raftnode.Info{Quorum: true, Leader: leader}}
	}
	for _, c := range []struct {
		what   string
		others []raftnode.MemberInfo
		want   bool
	}{
		{"both are dead", []raftnode.MemberInfo{dead, {Name: "n3", Voter: true, Refused: true}}, false},
		{"one follows a leader that is dead", []raftnode.MemberInfo{dead, follows("n2")}, false},
		{"one knows of no leader any more", []raftnode.MemberInfo{dead, follows("")}, false},
		{"one follows a leader that only this node does not reach", []raftnode.MemberInfo{silent, follows("n2")}, true},
		{"one leads", []raftnode.MemberInfo{dead, follows("n3")}, true},
		{"both are silent", []raftnode.MemberInfo{silent, {Name: "n3", Voter: true}}, true},
	} {
		if got := mayDecide(append([]raftnode.MemberInfo{self}, c.others...), "n1"); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
}

// TestWhatIsMissed: what others may have decided while this node had no contact is not known to it after they have died, either. It is once it has caught up.
func TestWhatIsMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		contact, silent, synced := false, false, false
		set := func(c, s, k bool) { // and let the watch see it
			mu.Lock()
			contact, silent, synced = c, s, k
			mu.Unlock()
			<-time.After(3 * elsewhereFor)
		}
		e := &elsewhere{self: "n1", missed: true,
			contact: func() bool { mu.Lock(); defer mu.Unlock(); return contact },
			sync: func(context.Context) error {
				mu.Lock()
				defer mu.Unlock()
				if !synced {
					return context.DeadlineExceeded
				}
				return nil
			},
			members: func(context.Context) []raftnode.MemberInfo {
				mu.Lock()
				defer mu.Unlock()
				list := []raftnode.MemberInfo{{Name: "n1", Voter: true, Reachable: true}}
				for _, name := range []string{"n2", "n3"} {
					list = append(list, raftnode.MemberInfo{Name: name, Voter: true, Refused: !silent})
				}
				return list
			},
		}
		ctx, cancel := context.WithCancel(context.Background())
		var watching sync.WaitGroup
		watching.Go(func() { e.watch(ctx) })
		defer watching.Wait()
		defer cancel()
		want := func(what string, may bool) {
			t.Helper()
			if got := e.may(ctx); got != may {
				t.Errorf("%s: %v", what, got)
			}
		}
		set(false, false, false)
		want("a process that has just begun, beside dead ones", true)
		set(true, false, false)
		want("there is a leader, but this node has not caught up", true)
		set(false, false, false)
		want("and never will", true)
		set(true, false, true)
		set(false, false, false)
		want("it had caught up when the others died", false)
		set(false, true, false)
		want("others are silent", true)
		set(false, false, false)
		want("and died after that", true)
		set(true, false, true)
		set(false, false, false)
		want("it has caught up again", false)
	})
}

// Those who ask at the same time share a look; a later one is made anew; nobody waits longer than he wants.
func TestLooksElsewhereAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looks atomic.Int32
		e := &elsewhere{self: "n1", members: func(context.Context) []raftnode.MemberInfo {
			looks.Add(1)
			<-time.After(300 * time.Millisecond)
			return []raftnode.MemberInfo{{Name: "n1", Voter: true, Reachable: true}}
		}}
		for range 10 {
			go func() {
				if e.may(context.Background()) {
					t.Error("a single node, and somebody else may have a quorum")
				}
			}()
		}
		<-time.After(500 * time.Millisecond)
		if n := looks.Load(); n != 1 {
			t.Errorf("%d looks", n)
		}
		<-time.After(time.Second)
		short, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		if !e.may(short) {
			t.Error("not known in time, and taken for certain")
		}
		if e.may(context.Background()) || looks.Load() != 2 {
			t.Errorf("%d looks", looks.Load())
		}
	})
}
