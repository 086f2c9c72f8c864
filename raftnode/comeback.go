package raftnode

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// comeBack keeps a node that has state out of its group for as long as the group has another schema. Nobody is waited for: a node that does not
// answer is asked again by exchange, once it leads. So a whole group changes its schema when all nodes have been started with the new version.
func (n *Node) comeBack(ctx context.Context) error {
	members, err := n.membersOnDisk()
	if err != nil {
		return err
	}
	wait := backoff{base: 50 * time.Millisecond, limit: 2 * time.Second}
	for n.apart(ctx, members) {
		select {
		case <-time.After(wait.next()):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// apart asks the members and tells whether the group has another schema: that of its leader, or of anybody while nobody leads. A leader of that
// kind is told, for its log.
func (n *Node) apart(ctx context.Context, members []raft.Server) bool {
	var mu sync.Mutex
	var leader *Info
	apart := false
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
			text := n.says.apart(n.opt.Name, info.release(), info.Name)
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
			if info.Role == "leader" && (leader == nil || info.Term > leader.Term) {
				leader = &info
			}
		})
	}
	all.Wait()
	if leader != nil {
		return leader.release().schema() != n.says.schema()
	}
	return apart
}

// membersOnDisk gives the latest membership that log and snapshots have, as raft will find it.
func (n *Node) membersOnDisk() ([]raft.Server, error) {
	var members []raft.Server
	list, err := n.opt.Dir.Snapshots().List()
	if err != nil {
		return nil, err
	}
	from := uint64(0)
	if len(list) > 0 {
		from, members = list[0].Index, list[0].Configuration.Servers
	}
	log := n.opt.Dir.Log()
	first, err := log.FirstIndex()
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	last, err := log.LastIndex()
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	for i := last; i > 0 && i > from && i >= first; i-- {
		var l raft.Log
		if err := log.GetLog(i, &l); err != nil {
			return nil, fmt.Errorf("read log entry %d: %w", i, err)
		}
		if l.Type != raft.LogConfiguration {
			continue
		}
		var c raft.Configuration
		if c, err = decodeConfiguration(l.Data); err != nil {
			return nil, fmt.Errorf("read log entry %d: %w", i, err)
		}
		return c.Servers, nil
	}
	return members, nil
}

// decodeConfiguration is raft.DecodeConfiguration without its panic.
func decodeConfiguration(b []byte) (c raft.Configuration, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("decode membership: %v", p)
		}
	}()
	return raft.DecodeConfiguration(b), nil
}

// exchange tells the leader, once after each start, what this node runs, and hears what the leader runs. A node that finds only now that its group
// has another schema, because nobody answered before, takes no part any more.
func (n *Node) exchange(ctx context.Context, at leaderInfo) error {
	if n.exchanged || !at.known {
		return nil
	}
	if !at.self {
		_, said := n.pool.call(ctx, at.addr, nameOf(at.id), callAnnounce, encodeJSON(n.request()))
		info, err := n.askInfo(ctx, at.addr, nameOf(at.id))
		if err != nil {
			return err
		}
		if text := n.says.apart(n.opt.Name, info.release(), info.Name); text != "" {
			err := refused("%s", text)
			n.fail(err)
			return err
		}
		if said != nil {
			return said
		}
		n.noteVersion(info.Name, info.release())
	}
	n.exchanged = true
	return nil
}
