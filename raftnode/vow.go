package raftnode

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/storage"
)

// vow is what a follower vouches for: it votes for no other node, nor stands for election, before takeover has passed since its last contact with the leader, by its own
// profile, which need not be the leader's. Layout of the answer to callWord, integers little-endian; what is behind it is of a later version, as in the request:
//
//	0   age       8 bytes: nanoseconds since that contact
//	8   takeover  8 bytes: nanoseconds
type vow struct{ age, takeover time.Duration }

const vowSize = 16

func (v vow) encode() []byte {
	return binary.LittleEndian.AppendUint64(encodeAge(v.age), uint64(v.takeover))
}

func decodeVow(b []byte) (v vow, err error) {
	if len(b) < vowSize {
		return vow{}, fmt.Errorf("%w: word for a leader: %d bytes", errFrame, len(b))
	}
	takeover := binary.LittleEndian.Uint64(b[8:])
	if takeover == 0 || takeover > math.MaxInt64 {
		return vow{}, fmt.Errorf("%w: a take-over time of %d ns", errFrame, takeover)
	}
	v.takeover = time.Duration(takeover)
	v.age, err = decodeAge(b[:8], v.takeover)
	return v, err
}

// encodeAge writes nanoseconds, 8 bytes.
func encodeAge(d time.Duration) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(d)) }

// decodeAge refuses what no follower that keeps its word says.
func decodeAge(b []byte, limit time.Duration) (time.Duration, error) {
	if len(b) != 8 {
		return 0, fmt.Errorf("%w: age: %d bytes", errFrame, len(b))
	}
	v := binary.LittleEndian.Uint64(b)
	if v > math.MaxInt64 || time.Duration(v) >= limit {
		return 0, fmt.Errorf("%w: an age of %d ns, less than %v is needed", errFrame, v, limit)
	}
	return time.Duration(v), nil
}

// askWord asks one voter. One of a version that does not know callWord is taken to have this node's profile; that it does not is remembered with the connection, so that
// such a one costs no second question each time, and one that is upgraded is asked anew.
func (n *Node) askWord(ctx context.Context, s raft.Server, term uint64) (vow, error) {
	c, err := n.pool.connect(ctx, string(s.Address), nameOf(s.ID))
	if err != nil {
		return vow{}, err
	}
	if !c.wordless.Load() {
		b, err := c.call(ctx, callWord, encodeIndex(term))
		if err == nil {
			return decodeVow(b)
		}
		var f *failure
		if !errors.As(err, &f) || f.code != failUnsupported {
			return vow{}, err
		}
		c.wordless.Store(true)
	}
	b, err := c.call(ctx, callLease, encodeIndex(term))
	if err != nil {
		return vow{}, err
	}
	age, err := decodeAge(b, n.timing.heartbeat)
	return vow{age, n.timing.heartbeat}, err
}

// handleWord is the follower's end, for the leader whom it follows in the term that is asked for.
func (n *Node) handleWord(ctx context.Context, from caller, payload []byte) ([]byte, error) {
	age, err := n.vouchFor(ctx, from, payload[:min(8, len(payload))])
	if err != nil {
		return nil, err
	}
	return vow{age, n.timing.heartbeat}.encode(), nil
}

// handleLease is that for a leader of a version that does not know callWord.
func (n *Node) handleLease(ctx context.Context, from caller, payload []byte) ([]byte, error) {
	age, err := n.vouchFor(ctx, from, payload)
	if err != nil {
		return nil, err
	}
	return encodeAge(age), nil
}

func (n *Node) vouchFor(ctx context.Context, from caller, payload []byte) (time.Duration, error) {
	term, err := decodeIndex(payload)
	if err != nil {
		return 0, refused("%v", err)
	}
	if n.raft.Load() == nil {
		return 0, retryLater("the node is " + *n.phase.Load())
	}
	if s, ok := memberByID(n.membership(), *n.id.Load()); !ok || s.Suffrage != raft.Voter {
		return 0, retryLater("this node has no vote")
	}
	age, err := n.trans.vouch(ctx, from.id, term)
	if err != nil {
		return 0, retryLater(err.Error())
	}
	return age, nil
}

// unleased is since when and why this node as the leader has got no lease by the words of others.
type unleased struct {
	mu          sync.Mutex
	text        string
	since, last time.Time
}

const (
	// unleasedLasts is for how long it must be so before anybody is told: a voter that would do may have been late.
	unleasedLasts = time.Second
	// unleasedShown is for how long NoLease says so: a node that leads no more cannot learn whether it is over.
	unleasedShown = time.Minute
)

// note takes the outcome of one question, empty when there was a lease, and tells whether nothing else has come for long enough.
func (u *unleased) note(text string, now time.Time) (lasts bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case text == "":
		u.text = ""
		return false
	case u.text == "" || now.Sub(u.last) > unleasedLasts:
		u.since = now
	}
	u.text, u.last = text, now
	return now.Sub(u.since) >= unleasedLasts
}

func (u *unleased) reason(now time.Time) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.text == "" || u.last.Sub(u.since) < unleasedLasts || now.Sub(u.last) >= unleasedShown {
		return ""
	}
	return u.text
}

// noLease notes that the words of these voters, each with its profile, let this leader hold nothing, and gives the error.
func (n *Node) noLease(short []string) error {
	slices.Sort(short)
	text := fmt.Sprintf("nodes run different timing profiles: %s would vote for another leader before node %s (%s) had let go; give all nodes the same --timing",
		strings.Join(short, " and "), n.opt.Name, profileOf(n.timing.heartbeat))
	if now := time.Now(); n.unleased.note(text, now) && n.said.due(text, now) {
		n.log.Warn("this node leads and gets no lease", "reason", text)
	}
	return fmt.Errorf("%w: %s", ErrNoQuorum, text)
}

// NoLease says why Lease has given this node nothing for a second, or had when it led last, within a minute, although enough nodes answer: they run another Options.Timing.
// Another node had better lead. nil: no such thing is known.
func (n *Node) NoLease() error {
	if text := n.unleased.reason(time.Now()); text != "" {
		return errors.New(text)
	}
	return nil
}

// keyTakeover has, in nanoseconds, the longest take-over time of words of this node that may be out. Where it was never written they may be of any profile.
var keyTakeover = []byte("HoldfastTakeover")

// vowsBefore gives for how long words may be out that this node has given before it was started, perhaps by another profile. To be called before it gives any.
func (n *Node) vowsBefore() (time.Duration, error) {
	stable, longest, own := n.opt.Dir.Stable(), uint64(longestTakeover()), uint64(n.timing.heartbeat)
	before, err := stable.GetUint64(keyTakeover)
	switch {
	case errors.Is(err, storage.ErrKeyNotFound):
		before = longest
	case err != nil:
		return 0, fmt.Errorf("read take-over time: %w", err)
	}
	if before < own {
		if err := stable.SetUint64(keyTakeover, own); err != nil {
			return 0, fmt.Errorf("write take-over time: %w", err)
		}
	}
	if !n.wasMember {
		return 0, nil
	}
	return time.Duration(min(before, longest)), nil
}

// forgetVows notes when those words are over.
func (n *Node) forgetVows(ctx context.Context, before time.Duration) {
	stable, own := n.opt.Dir.Stable(), uint64(n.timing.heartbeat)
	if v, err := stable.GetUint64(keyTakeover); err == nil && v == own {
		return
	}
	select {
	case <-time.After(before):
	case <-ctx.Done():
		return
	}
	if err := stable.SetUint64(keyTakeover, own); err != nil { // then the next start waits for longer than it must
		n.log.Warn("the take-over time could not be noted", "error", err)
	}
}
