package raftnode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/internal/failpoint"
	"github.com/holdfast-lb/holdfast/storage"
)

// A node that is out of its group for good notes so on its disk: it was removed, another one has its place, or the group has begun a new epoch without it. It never
// starts on that directory again, so that it cannot vote, serve or be elected, whomever it could reach.

var keyExpelled = []byte("HoldfastExpelled")

// expulsion is that note.
type expulsion struct {
	Reason string    `json:"reason"`
	At     time.Time `json:"at"` // by this node's own clock
}

// expel stops this node for good, and over its next start. Of several reasons the first counts.
func (n *Node) expel(reason string) {
	if !n.expelling.CompareAndSwap(false, true) {
		return
	}
	if err := n.opt.Dir.Stable().Set(keyExpelled, encodeJSON(expulsion{reason, n.opt.Now().UTC()})); err != nil {
		n.log.Error("this node could not note that it is out of its group", "reason", err)
	}
	failpoint.Hit(failpoint.RemoveNoted)
	n.fail(refused("%s", reason))
}

// Expelled refuses, as an ErrRefused, the directory of a node that is out of its group for good: it was removed or replaced, or its epoch is over.
func Expelled(dir Disk) error {
	b, err := dir.Stable().Get(keyExpelled)
	if errors.Is(err, storage.ErrKeyNotFound) {
		return nil
	}
	var e expulsion
	if err == nil {
		err = json.Unmarshal(b, &e)
	}
	if err != nil {
		return fmt.Errorf("%s: read why this node is out of its group: %w", dir.Path(), err)
	}
	return refused("%s is out of use since %s: %s", dir.Path(), e.At.Format(time.RFC3339), e.Reason)
}

// expelled asks the other members, as this node knows them, whether it is one still, and gives the reason if not. Nobody but a node of the group can answer. What an answer says
// counts when it is committed and no older than what this node knows: a node that was cut off may not have heard of this one yet.
func (n *Node) expelled(ctx context.Context) (reason string) {
	_, _, own := n.roll.get()
	ctx, cancel := context.WithTimeout(ctx, memberWait)
	defer cancel()
	self := *n.id.Load()
	var mu sync.Mutex
	var newest Info
	var all sync.WaitGroup
	for _, s := range n.membership().Servers {
		if s.ID == self {
			continue
		}
		all.Go(func() {
			info, err := n.askInfo(ctx, string(s.Address), nameOf(s.ID))
			if err != nil || len(info.Members) == 0 {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if info.MembersIndex > newest.MembersIndex {
				newest = info
			}
		})
	}
	all.Wait()
	if newest.MembersIndex < own || newest.MembersIndex == 0 || slices.Contains(newest.Members, string(self)) {
		return ""
	}
	for _, id := range newest.Members {
		if nameOf(raft.ServerID(id)) == n.opt.Name {
			return fmt.Sprintf("this node was replaced by %s: its data directory is out of date; move it away and let the node join again", id)
		}
	}
	return removedText(newest.Name)
}
