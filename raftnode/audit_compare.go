package raftnode

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
)

// What is asked for of an image.
const (
	wantParts  = "parts"  // the digests of the parts but the table, as JSON
	wantItems  = "items"  // 8 bytes for each item of a part
	wantLabel  = "label"  // the name of item N of a part
	wantShards = "shards" // the digests of all shards of the table
	wantShard  = "shard"  // the assignments of shard N
)

// compareRequest asks a node for something of its image of Index.
type compareRequest struct {
	Index uint64   `json:"index"`
	Want  string   `json:"want"`
	Part  fsm.Part `json:"part,omitempty"`
	N     uint32   `json:"n,omitempty"`
}

// handleCompare answers from the image.
func (n *Node) handleCompare(ctx context.Context, from caller, payload []byte) ([]byte, error) {
	r, err := decodeJSON[compareRequest](payload)
	if err != nil {
		return nil, refused("%v", err)
	}
	if _, member := memberByID(n.membership(), from.id); !member {
		return nil, refused("node %s is not a member", from.name)
	}
	ctx, cancel := context.WithTimeout(ctx, auditWait)
	defer cancel()
	var out []byte
	var bad error
	if err := n.audit.images.use(ctx, r.Index, func(s *fsm.Snapshot) { out, bad = r.answer(s) }); err != nil {
		return nil, err
	}
	if bad == nil && len(out) > maxPayload {
		bad = refused("the answer has %d bytes, at most %d", len(out), maxPayload)
	}
	return out, bad
}

func (r *compareRequest) answer(s *fsm.Snapshot) ([]byte, error) {
	switch r.Want {
	case wantParts:
		return encodeJSON(s.Parts()), nil
	case wantItems:
		return encodeItems(s.Items(r.Part)), nil
	case wantLabel:
		text, ok := s.Label(r.Part, int(r.N))
		if !ok {
			return nil, refused("%s have no item %d", r.Part, r.N)
		}
		return []byte(text), nil
	case wantShards:
		return s.ShardDigests(), nil
	case wantShard:
		if r.N >= fsm.Shards {
			return nil, refused("there is no shard %d", r.N)
		}
		return fsm.AppendEntries(nil, s.ShardEntries(r.N)), nil
	}
	return nil, &failure{code: failUnsupported, text: fmt.Sprintf("comparison by %.20q", r.Want)}
}

func encodeItems(items []uint64) []byte {
	b := make([]byte, 0, 8*len(items))
	for _, x := range items {
		b = binary.LittleEndian.AppendUint64(b, x)
	}
	return b
}

func decodeItems(b []byte) ([]uint64, error) {
	if len(b)%8 != 0 {
		return nil, fmt.Errorf("%w: items: %d bytes", errFrame, len(b))
	}
	items := make([]uint64, len(b)/8)
	for i := range items {
		items[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return items, nil
}

const (
	// maxDifference bounds the words about what differs, in bytes; maxLabel those for one item.
	maxDifference, maxLabel = 600, 120
	// namePause is between two attempts to find out what differs.
	namePause = 50 * time.Millisecond
)

// nameDifference finds what of this node's state differs from that of the given nodes, which are right, until ctx ends.
func (n *Node) nameDifference(ctx context.Context, right []raft.Server) (string, error) {
	var last error
	for ctx.Err() == nil {
		index, err := n.askCheckpoint(ctx, true)
		for i := 0; err == nil && i < len(right); i++ {
			var text string
			if text, err = n.differenceAt(ctx, index, right[i]); err == nil {
				return clipText(text, maxDifference), nil
			}
		}
		last = err
		select {
		case <-time.After(namePause):
		case <-ctx.Done():
		}
	}
	return "", fmt.Errorf("find out what differs: %w", last)
}

// differenceAt compares with one node as of index.
func (n *Node) differenceAt(ctx context.Context, index uint64, with raft.Server) (text string, err error) {
	if err := waitApplied(ctx, n.state, &n.applied, index); err != nil {
		return "", err
	}
	used := n.audit.images.use(ctx, index, func(own *fsm.Snapshot) {
		c := comparison{own: own, ask: func(r compareRequest) ([]byte, error) {
			r.Index = index
			return n.pool.call(ctx, string(with.Address), nameOf(with.ID), callCompare, encodeJSON(r))
		}}
		text, err = c.run()
	})
	if used != nil {
		return "", used
	}
	return text, err
}

// comparison is that of this node's image with another node's.
type comparison struct {
	own *fsm.Snapshot
	ask func(compareRequest) ([]byte, error)
}

// run gives what differs, in words: the first session, and the first item of each part.
func (c *comparison) run() (string, error) {
	var words []string
	table, err := c.table()
	if err != nil {
		return "", err
	}
	if table != "" {
		words = append(words, table)
	}
	parts, err := c.parts()
	if err != nil {
		return "", err
	}
	for _, p := range parts {
		text, err := c.part(p)
		if err != nil {
			return "", err
		}
		words = append(words, text)
	}
	if len(words) == 0 {
		return "every assignment and every item is the same: what differed is over, or the running digest is wrong itself", nil
	}
	return strings.Join(words, "; "), nil
}

func (c *comparison) table() (string, error) {
	theirs, err := c.ask(compareRequest{Want: wantShards})
	if err != nil {
		return "", err
	}
	shards, err := fsm.DifferentShards(c.own.ShardDigests(), theirs)
	if err != nil || len(shards) == 0 {
		return "", err
	}
	b, err := c.ask(compareRequest{Want: wantShard, N: shards[0]})
	if err != nil {
		return "", err
	}
	entries, err := fsm.ParseEntries(b)
	if err != nil {
		return "", err
	}
	d, count := fsm.FirstDifference(c.own.ShardEntries(shards[0]), entries)
	if count == 0 {
		return "", fmt.Errorf("shard %d: its digest differs, its assignments do not", shards[0])
	}
	text := "session key " + describeEntry(c.own, &d)
	switch {
	case len(shards) > 1:
		text += fmt.Sprintf(", the first one in %d of %d shards of the table that differ", len(shards), fsm.Shards)
	case count > 1:
		text += fmt.Sprintf(", the first of %d sessions that differ", count)
	}
	return text, nil
}

func describeEntry(own *fsm.Snapshot, d *fsm.EntryDifference) string {
	say := func(a fsm.Assignment) string {
		if a.Instance == 0 {
			return "has no assignment"
		}
		name, ok := own.Label(fsm.PartNames, int(a.Instance)-1)
		if !ok {
			name = fmt.Sprintf("id %d", a.Instance)
		}
		return fmt.Sprintf("goes to instance %s by the decision of index %d, last seen %s", name, a.Index, a.SeenAt().UTC().Format("15:04:05"))
	}
	return fmt.Sprintf("%s: here it %s, elsewhere it %s", d.Key, say(d.Here), say(d.Others))
}

// parts lists those that differ. One that only one side knows is of another version.
func (c *comparison) parts() (list []fsm.Part, err error) {
	b, err := c.ask(compareRequest{Want: wantParts})
	if err != nil {
		return nil, err
	}
	theirs, err := decodeJSON[[]fsm.PartDigest](b)
	if err != nil {
		return nil, err
	}
	for _, own := range c.own.Parts() {
		same := func(p fsm.PartDigest) bool { return p.Part == own.Part && p.Digest != own.Digest }
		if slices.ContainsFunc(theirs, same) {
			list = append(list, own.Part)
		}
	}
	return list, nil
}

// part names the first item that differs.
func (c *comparison) part(p fsm.Part) (string, error) {
	b, err := c.ask(compareRequest{Want: wantItems, Part: p})
	if err != nil {
		return "", err
	}
	theirs, err := decodeItems(b)
	if err != nil {
		return "", err
	}
	items := c.own.Items(p)
	here, there := fsm.FirstOnlyHere(items, theirs), fsm.FirstOnlyHere(theirs, items)
	var own, other string
	if here >= 0 {
		own, _ = c.own.Label(p, here)
	}
	if there >= 0 {
		label, err := c.ask(compareRequest{Want: wantLabel, Part: p, N: uint32(there)})
		if err != nil {
			return "", err
		}
		other = clipText(string(label), maxLabel)
	}
	own = clipText(own, maxLabel)
	switch {
	case here < 0 && there < 0:
		return fmt.Sprintf("%s: in another order", p), nil
	case here < 0:
		return fmt.Sprintf("%s: %s is missing here", p, other), nil
	case there < 0:
		return fmt.Sprintf("%s: only here is there %s", p, own), nil
	case own == other:
		return fmt.Sprintf("%s: %s says something else here", p, own), nil
	}
	return fmt.Sprintf("%s: here %s, elsewhere %s", p, own, other), nil
}

// clipText shortens words to at most n bytes, and takes out what is no text: some come from another node.
func clipText(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-4], "") + " ..."
}
