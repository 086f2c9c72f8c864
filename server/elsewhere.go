package server

import (
	"context"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/raftnode"
)

const (
	// elsewhereFor is for how long what the members have said counts: a node that has just been started may be half of a majority soon.
	elsewhereFor = time.Second
	// elsewhereTick is how often contact with the group is looked at, elsewhereSync bounds one attempt to learn what it has decided.
	elsewhereTick, elsewhereSync = 100 * time.Millisecond, time.Second
)

// elsewhere finds out whether the rest of the group may decide, or may have decided, something that this node does not know while it has no quorum. All who ask within elsewhereFor share one look.
type elsewhere struct {
	self    string
	members func(context.Context) []raftnode.MemberInfo
	contact func() bool                 // a leader is known
	sync    func(context.Context) error // nil: this node knows everything that was acknowledged before

	mu     sync.Mutex
	last   *lookElsewhere
	missed bool // others may have decided without this node since it last knew everything
}

type lookElsewhere struct {
	began time.Time
	done  chan struct{}
	may   bool // once done is closed
}

// newElsewhere: a process that has just begun does not know what it has missed. watch has to run.
func newElsewhere(self string, n *raftnode.Node) *elsewhere {
	return &elsewhere{self: self, members: n.Members, sync: n.Sync, contact: func() bool { return n.Leader() != "" }, missed: true}
}

// watch keeps an eye on what is missed, until ctx ends. As long as there is contact, and this node has once known everything since that began, nothing is: its log has what its state has not (raftnode
// Unapplied). When contact is lost, those who are left are asked at once and again: where a majority could go on without this node, it does not know any more what has been decided.
func (e *elsewhere) watch(ctx context.Context) {
	tick := time.NewTicker(elsewhereTick)
	defer tick.Stop()
	for knows := false; ; {
		switch {
		case !e.contact():
			knows = false
			e.may(ctx)
		case !knows:
			knows = e.learn(ctx)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// learn has this node know everything, and reports whether it does.
func (e *elsewhere) learn(ctx context.Context) bool {
	e.miss(true)
	limited, cancel := context.WithTimeout(ctx, elsewhereSync)
	defer cancel()
	if e.sync(limited) != nil {
		return false
	}
	e.miss(false)
	return true
}

func (e *elsewhere) miss(missed bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.missed = missed
	if !missed {
		e.last = nil // it was about an earlier outage
	}
}

// may is false when it is certain that nobody has a quorum, nor had one since this node last knew everything. When ctx ends before that is known, somebody may.
func (e *elsewhere) may(ctx context.Context) bool {
	e.mu.Lock()
	l := e.last
	if l == nil || time.Since(l.began) > elsewhereFor {
		l = &lookElsewhere{began: time.Now(), done: make(chan struct{})}
		e.last = l
		go e.look(context.WithoutCancel(ctx), l) // it takes no longer than Members does
	}
	e.mu.Unlock()
	select {
	case <-l.done:
	case <-ctx.Done():
		return true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return l.may || e.missed
}

func (e *elsewhere) look(ctx context.Context, l *lookElsewhere) {
	members := e.members(ctx)
	may, without := mayHaveQuorum(members, e.self), mayDecide(members, e.self)
	e.mu.Lock()
	l.may = may
	e.missed = e.missed || without && e.last == l
	e.mu.Unlock()
	close(l.done)
}

// mayHaveQuorum tells whether the voters that this node cannot speak for could be a majority. It can speak for itself, for those that say that they know of no quorum and have no more in their log than it
// has, and for those whose port refuses connections: no process is there.
func mayHaveQuorum(members []raftnode.MemberInfo, self string) bool {
	for _, m := range members {
		if m.Reachable && m.Name != self && (m.Info.Quorum || m.Voter && m.Info.LastLog > lastLog(members, self)) {
			return true
		}
	}
	return silentMajority(members, self)
}

// mayDecide tells whether others could decide at this moment. One that follows a leader whose process has gone is a moment late with noticing.
func mayDecide(members []raftnode.MemberInfo, self string) bool {
	gone := map[string]bool{"": true}
	for _, m := range members {
		gone[m.Name] = gone[m.Name] || m.Refused
	}
	for _, m := range members {
		if m.Reachable && m.Name != self && m.Info.Quorum && !gone[m.Info.Leader] {
			return true
		}
	}
	return silentMajority(members, self)
}

// silentMajority tells whether so many voters are silent that they could be a majority; so they could when the membership is not known, or this node is none of it.
func silentMajority(members []raftnode.MemberInfo, self string) bool {
	voters, silent := 0, 0
	for _, m := range members {
		if !m.Voter {
			continue
		}
		voters++
		if m.Name != self && !m.Reachable && !m.Refused {
			silent++
		}
	}
	return voters == 0 || silent > voters/2
}

func lastLog(members []raftnode.MemberInfo, name string) uint64 {
	for _, m := range members {
		if m.Name == name {
			return m.Info.LastLog
		}
	}
	return 0
}
