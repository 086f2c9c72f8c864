package group

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/ledger"
	"github.com/holdfast-lb/holdfast/chaos/load"
)

// Keys asks the nodes for the table key of every session and notes it in the ledger. The nodes share the work. It returns too
// how many of the sessions have a provisional cookie.
func (g *Group) Keys(ctx context.Context, l *ledger.Ledger, sessions []*load.Session) (provisional int, err error) {
	return g.KeysEach(ctx, l, sessions, func(*load.Session) {})
}

// KeysEach is Keys, and tells of each session that has a provisional cookie, from any goroutine.
func (g *Group) KeysEach(ctx context.Context, l *ledger.Ledger, sessions []*load.Session, provisional func(*load.Session)) (count int, err error) {
	var next, provisionals atomic.Int64
	var all sync.WaitGroup
	errs := make([]error, 2*len(g.Nodes))
	for i := range errs {
		n := g.Nodes[i%len(g.Nodes)]
		all.Go(func() {
			for ctx.Err() == nil {
				at := int(next.Add(1)) - 1
				if at >= len(sessions) {
					return
				}
				s := sessions[at]
				result, err := n.Client.LookupSession(ctx, lookup(s), client.Stale())
				if err != nil {
					errs[i] = fmt.Errorf("key of session %d at node %s: %w", s.Entry.Number, n.Name, err)
					return
				}
				if result.Cookie != nil && result.Cookie.Provisional || s.Kind.Cookie == "" && s.Jar.Get(provisionalCookie) != "" {
					provisionals.Add(1)
					provisional(s)
				}
				l.SetKey(s.Entry, result.Key)
			}
		})
	}
	all.Wait()
	return int(provisionals.Load()), errors.Join(append(errs, ctx.Err())...)
}

// Newest asks the node for the newest state of the group: on which instance a session is, empty for nowhere. Recorded is false when its client has been told of no assignment that a majority has: then it need
// not be anywhere. A node that cannot know the newest state gives an error. Nobody else may use the session meanwhile.
func (n *Node) Newest(ctx context.Context, s *load.Session) (instance string, recorded bool, err error) {
	if s.Kind.Cookie == "" && s.Jar.Get(provisionalCookie) != "" {
		return "", false, nil
	}
	result, err := n.Client.LookupSession(ctx, lookup(s))
	switch {
	case err != nil:
		return "", false, fmt.Errorf("look for session %d through node %s: %w", s.Entry.Number, n.Name, err)
	case result.Cookie != nil && result.Cookie.Provisional:
		return "", false, nil
	case !result.Found:
		return "", true, nil
	}
	return result.Session.Instance, true, nil
}

// provisionalCookie is what clients of learn affinity are given while no majority can record their sessions.
const provisionalCookie = "HOLDFAST"

func lookup(s *load.Session) client.Lookup {
	q := client.Lookup{Cluster: s.Kind.Name, ContextRoot: s.Kind.ContextRoot}
	if s.Kind.Cookie != "" {
		q.Cookie = s.Jar.Get(s.Kind.Cookie)
	} else {
		q.Session = s.Entry.Session
	}
	return q
}
