package raftnode

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/raftnode/pki"
	"github.com/holdfast-lb/holdfast/storage"
)

// The fence between epochs. A group that lost its quorum goes on from one survivor, in its next epoch and with new ids. The old members that come back could be a majority of the
// old membership, and would go on as if nothing had happened. So whoever hears of a higher epoch of its group is out, for good (see expel):
//
//   - Every answer about a node says its epoch. A node that comes back asks all members before it takes part, and one that hears of no leader, or leads, asks them too.
//   - The node with which the epoch began tells the old members, at the addresses that they had, for as long as it lives (tellFormer).
//
// Only nodes with a certificate of the group can say so. Two halves that never hear of each other are not kept apart by this: see `holdfast recover`, which looks for the others first.

const (
	// tellFormerEvery is how often the old members are told that have not answered yet.
	tellFormerEvery = 5 * time.Second
	// formerKnown bounds the time for one of them.
	formerKnown = 2 * time.Second
)

var keyFormer = []byte("HoldfastFormer")

// epoch is the one in which the log of this node's state began, 0 while it has none. An archive that is restored into the running group raises the group's epoch by an entry of that log: who has not applied it
// yet is no stranger, so that this number stays.
func (n *Node) epoch() uint32 {
	if g := n.state.Group(); g != nil {
		return g.Founded()
	}
	return 0
}

// inForceEpoch is the group's present epoch as this node knows it, for people; 0 while it has no state.
func (n *Node) inForceEpoch() uint32 {
	if g := n.state.Group(); g != nil {
		return g.Epoch
	}
	return 0
}

// heardEpoch takes what another node of the group says of the epoch, and tells whether this one is out.
func (n *Node) heardEpoch(w epochWord, by string) bool {
	if own := n.epoch(); own == 0 || w.Epoch <= own {
		return false
	}
	n.goRun(func(context.Context) { n.expel(begunAgain(w, by, n.inForceEpoch())) })
	return true
}

// begunAgain says why a node is out that knows epoch own.
func begunAgain(w epochWord, by string, own uint32) string {
	theirs, another := max(w.Epoch, w.InForce), ""
	if theirs == own { // it began by an entry of this node's log, the other one by a promotion or a restore
		another = "another "
	}
	return fmt.Sprintf("the group is in epoch %d, says node %s, this node in %sepoch %d: the group was begun again without it; what this node has may be missing there, so keep its data directory, but move it away, and let the node join again with a join token ('holdfast token create --role node')", theirs, by, another, own)
}

// epochWord says that the group is in an epoch; the answer says in which one the other node is. Epoch, in which the log began, is what counts, InForce is what people know.
type epochWord struct {
	Epoch   uint32 `json:"epoch"`
	InForce uint32 `json:"inForce,omitempty"`
}

func (n *Node) handleEpoch(_ context.Context, from caller, payload []byte) ([]byte, error) {
	w, err := decodeJSON[epochWord](payload)
	if err != nil {
		return nil, refused("%v", err)
	}
	own := epochWord{n.epoch(), n.inForceEpoch()}
	n.heardEpoch(w, from.name)
	return encodeJSON(own), nil
}

// loadFormer gives who was a member before this epoch, if it began with this node.
func loadFormer(dir Disk) (list []founder, err error) {
	b, err := dir.Stable().Get(keyFormer)
	if errors.Is(err, storage.ErrKeyNotFound) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &list)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: read who was a member before: %w", dir.Path(), err)
	}
	return list, nil
}

func saveFormer(dir Disk, members []ImageMember) error {
	list := make([]founder, 0, len(members))
	for _, m := range members {
		list = append(list, founder{m.Name, raft.ServerID(m.ID), m.Addr})
	}
	if err := dir.Stable().Set(keyFormer, encodeJSON(list)); err != nil {
		return fmt.Errorf("note who was a member before: %w", err)
	}
	return nil
}

// rememberFormer keeps the old members' ids out: see wasRemoved.
func (n *Node) rememberFormer() (err error) {
	if n.former, err = loadFormer(n.opt.Dir); err != nil {
		return err
	}
	ids := make([]raft.ServerID, 0, len(n.former))
	for _, f := range n.former {
		ids = append(ids, f.ID)
	}
	n.removed.add(ids...)
	return nil
}

// tellFormer tells the old members of the new epoch. One that answers is told no more, until this node starts again.
func (n *Node) tellFormer(ctx context.Context) {
	told := map[raft.ServerID]bool{}
	for {
		for _, f := range n.former {
			if epoch := n.epoch(); epoch > 0 && !told[f.ID] && f.Addr != n.addr {
				told[f.ID] = n.tellOne(ctx, f, epoch)
			}
		}
		select {
		case <-time.After(jitter(tellFormerEvery)):
		case <-ctx.Done():
			return
		}
	}
}

func (n *Node) tellOne(ctx context.Context, f founder, epoch uint32) bool {
	ctx, cancel := context.WithTimeout(ctx, formerKnown)
	defer cancel()
	b, err := n.pool.call(ctx, f.Addr, f.Name, callEpoch, encodeJSON(epochWord{epoch, n.inForceEpoch()}))
	if err != nil {
		return false
	}
	w, err := decodeJSON[epochWord](b)
	switch {
	case err != nil, w.Epoch == 0:
		return false
	case w.Epoch < epoch:
		n.log.Warn("a node of an earlier epoch has come back, and was told", "member", f.Name, "address", f.Addr, "epoch", w.Epoch)
	}
	return w.Epoch >= epoch // one that was told ends, and may come back from another copy of its disk
}

// Running gives those of the members whose peer port answers, with a certificate of the group: the names, in the members' order. It takes two seconds at most. The keys are those of a
// node that does not run.
func Running(ctx context.Context, keys *pki.Credentials, members []ImageMember) (names []string) {
	ctx, cancel := context.WithTimeout(ctx, formerKnown)
	defer cancel()
	conns := make([]*tls.Conn, len(members))
	var all sync.WaitGroup
	for i, m := range members {
		all.Go(func() { conns[i], _ = dialPeer(ctx, tcp{}, keys, protoCall, m.Addr, m.Name, time.Now) })
	}
	all.Wait()
	for i, c := range conns {
		if c != nil {
			_ = c.Close()
			names = append(names, members[i].Name)
		}
	}
	return names
}
