package raftnode

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// comeBack keeps a node that has state out of its group for as long as the group has a schema that this node does not know, or one that is too old for it, and for good while the node runs elsewhere. Nobody
// is waited for: a node that does not answer is asked again by exchange, once it leads.
func (n *Node) comeBack(ctx context.Context) error {
	members, err := membersOnDisk(n.opt.Dir)
	if err != nil {
		return err
	}
	wait := backoff{base: 50 * time.Millisecond, limit: 2 * time.Second}
	for {
		apart, answered := n.apart(ctx, members)
		if !apart {
			return n.alone(ctx, append(answered, self(members, *n.id.Load())...))
		}
		select {
		case <-time.After(wait.next()):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// self is the member of that id, if there is one.
func self(members []raft.Server, id raft.ServerID) []raft.Server {
	for i := range members {
		if members[i].ID == id {
			return members[i : i+1]
		}
	}
	return nil
}

// apart asks the members and tells whether this node cannot be in its group: by the schema of its leader, or of anybody while nobody leads. A leader of that
// kind is told, for its log. It gives the members that have answered, too.
func (n *Node) apart(ctx context.Context, members []raft.Server) (apart bool, answered []raft.Server) {
	var mu sync.Mutex
	var leader *Info
	leaderSays := ""
	var all sync.WaitGroup
	for _, s := range members {
		if s.ID == *n.id.Load() {
			continue
		}
		all.Go(func() {
			wait, cancel := context.WithTimeout(ctx, memberWait)
			defer cancel()
			info, err := n.askInfo(wait, string(s.Address), nameOf(s.ID))
			if err != nil || info.ID != string(s.ID) {
				n.inTrouble(string(s.Address), nil)
				return
			}
			text := n.says.apart(n.opt.Name, info.release(), info.Name, info.GroupSchema)
			if text == "" {
				n.inTrouble(string(s.Address), nil)
			} else {
				n.inTrouble(string(s.Address), retryLater(text))
			}
			if text != "" && info.Role == "leader" && info.Schema > 1 { // those before would not mind
				_, _ = n.pool.call(wait, string(s.Address), info.Name, callAnnounce, encodeJSON(n.request()))
			}
			mu.Lock()
			defer mu.Unlock()
			apart = apart || text != ""
			answered = append(answered, s)
			if info.Role == "leader" && (leader == nil || info.Term > leader.Term) {
				leader, leaderSays = &info, text
			}
		})
	}
	all.Wait()
	if leader != nil {
		return leaderSays != "", answered
	}
	return apart, answered
}

// exchange tells the leader, once after each start, what this node runs, and hears what the leader runs. A node that finds only now that its group
// has a schema that it cannot be in, because nobody answered before, takes no part any more.
func (n *Node) exchange(ctx context.Context, at leaderInfo) error {
	if n.exchanged.Load() || !at.known {
		return nil
	}
	if !at.self {
		_, said := n.pool.call(ctx, at.addr, nameOf(at.id), callAnnounce, encodeJSON(n.request()))
		info, err := n.askInfo(ctx, at.addr, nameOf(at.id))
		if err != nil {
			return err
		}
		if text := n.says.apart(n.opt.Name, info.release(), info.Name, info.GroupSchema); text != "" {
			err := refused("%s", text)
			n.fail(err)
			return err
		}
		if said != nil {
			return said
		}
		n.noteVersion(info.Name, info.release())
	}
	n.exchanged.Store(true)
	return nil
}
