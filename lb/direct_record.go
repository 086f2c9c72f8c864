package lb

import (
	"crypto/rand"
	"slices"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/lb/h1"
)

// A session that begins is recorded while its request is on its way, as exchange.openRecord does; its response waits on the loop for the record. So do responses that set
// session ids which are learned from them.

// startsSession reports whether a request without a session may begin one here: nothing about it depends on more than one module, the group records, and no instance
// counts its sessions.
func (r *direct) startsSession(m *module) bool {
	_, inserts := m.affinity.(*insertAffinity)
	return inserts && r.b.recorder.Quorum() && !slices.ContainsFunc(m.cluster.instances, func(in *instance) bool { return in.maxSessions != 0 })
}

// open begins to record the session of an unassigned request.
func (r *direct) open() {
	if _, inserts := r.mod.affinity.(*insertAffinity); !inserts || r.assigned {
		return
	}
	rand.Read(r.s.key[:]) // never fails, by its contract
	r.s.keyed, r.s.ours = true, true
	r.begun[0] = r.b.begin(fsm.SessionOp{Kind: fsm.OpAssign, Key: r.s.key, Instance: r.in.id, Reason: fsm.ReasonPolicy, Module: r.mod.id}, r.mod.cluster)
	r.commits = r.begun[:1]
}

// settle says what becomes of the response as far as records go: it leaves, perhaps with a cookie more, or waits for them.
func (r *direct) settle() h1.Verdict {
	switch a := r.mod.affinity.(type) {
	case *learnAffinity:
		if !r.settling {
			r.learn(a)
		}
	case noAffinity:
		if lines := r.setCookies(); len(lines) > 0 {
			r.noteForsaken(lines, r.now)
		}
	}
	r.settling = true
	if len(r.commits) == 0 {
		return h1.Forward
	}
	for _, co := range r.commits {
		if !co.over() {
			resumeAfter(r.t.Conn, co)
			return h1.Wait
		}
	}
	return r.recorded()
}

// learn begins to record the ids that the response sets and nobody knows, see learnAffinity.settle. The session of the request is on record.
func (r *direct) learn(a *learnAffinity) {
	for _, line := range r.setCookies() {
		name, value, ok := setCookie(line, r.now)
		if !ok || !slices.Contains(a.names, name) || len(r.commits) == maxCandidates {
			continue
		}
		bare, _ := r.mod.cluster.splitID(r.b.view, value)
		s := session{key: r.keys.sessionKey(r.mod.scope, bare)}
		if r.lookup(&s) && s.instance == r.in.id || slices.ContainsFunc(r.commits, func(co *commit) bool { return co.op.Key == s.key }) {
			continue
		}
		r.commits = append(r.commits, r.b.begin(fsm.SessionOp{Kind: fsm.OpAssign, Key: s.key, Instance: r.in.id, Reason: fsm.ReasonLearned, Module: r.mod.id}, r.mod.cluster))
	}
}

// over reports whether the record has ended.
func (c *commit) over() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// resumeAfter has the trip of the connection go on when the record has ended, which takes no longer than recordTimeout.
func resumeAfter(c *h1.Conn, co *commit) {
	go func() {
		<-co.done
		c.Resume()
	}()
}

// recorded lets the response go, with the cookie that names its session, once all records have ended.
func (r *direct) recorded() h1.Verdict {
	for _, co := range r.commits {
		switch {
		case co.err != nil:
			return r.refuse(co.err)
		case co.out.code == fsm.CodeFull: // another instance has room, perhaps
			if r.t.Repeatable {
				r.goAway(nil)
				return h1.Away
			}
			return r.refuse(errFull)
		}
	}
	r.addCookie()
	r.told = true
	return h1.Forward
}

// addCookie gives the client the sealed cookie of its session: with insert in any case, with learn when no majority has recorded it.
func (r *direct) addCookie() {
	first := r.commits[0]
	c := Cookie{Instance: r.in.id, Key: first.op.Key, Index: first.out.index, Provisional: first.out.provisional}
	switch a := r.mod.affinity.(type) {
	case *insertAffinity:
		if first.out.instance != 0 {
			c.Instance = first.out.instance
		}
		r.t.Reply.AddString("Set-Cookie", r.cookieLine(a.name, c, r.who.tls != nil))
	case *learnAffinity:
		for _, co := range r.commits {
			if co.out.provisional {
				c.Key, c.Index, c.Provisional = co.op.Key, 0, true
				r.t.Reply.AddString("Set-Cookie", r.cookieLine(a.cookie, c, r.who.tls != nil))
				return
			}
		}
	}
}

// forsake takes back the record of a session that no client will hear of, because Holdfast has answered by itself or the client has gone before its answer.
func (r *direct) forsake() {
	if r.s.ours && !r.told && len(r.commits) > 0 && r.t.Failure != h1.FailClosed {
		r.b.abandon(r.commits[0], r.s, r.mod)
	}
}
