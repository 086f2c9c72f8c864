package raftnode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/raftnode/pki"
)

// MemberInfo is a member by the membership, and what it says about itself if it answers.
type MemberInfo struct {
	Name   string `json:"name"`
	ID     string `json:"id"`
	Addr   string `json:"addr"`
	Voter  bool   `json:"voter"`
	Leader bool   `json:"leader"`
	// Reachable tells whether the member answered; if not, Error says why and Info is empty.
	Reachable bool   `json:"reachable"`
	Error     string `json:"error,omitempty"`
	// Refused: its peer port refuses connections, so that no process is there.
	Refused bool `json:"-"`
	Info    Info `json:"info"`
	// Skew is the member's clock minus this node's, exact to half of RTT.
	Skew time.Duration `json:"skew"`
	RTT  time.Duration `json:"rtt"`
}

// memberWait is how long a member may take to answer.
const memberWait = time.Second

// Members asks every member, for at most a second, and gives them in the order of the membership.
func (n *Node) Members(ctx context.Context) []MemberInfo {
	ctx, cancel := context.WithTimeout(ctx, memberWait)
	defer cancel()
	at, _ := n.watch.get()
	servers := n.membership().Servers
	out := make([]MemberInfo, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		out[i] = MemberInfo{Name: nameOf(s.ID), ID: string(s.ID), Addr: string(s.Address), Voter: s.Suffrage == raft.Voter,
			Leader: at.known && at.id == s.ID}
		wg.Add(1)
		go func() {
			defer wg.Done()
			n.askMember(ctx, &out[i])
		}()
	}
	wg.Wait()
	return out
}

func (n *Node) askMember(ctx context.Context, m *MemberInfo) {
	if m.ID == n.ID() {
		m.Reachable, m.Info = true, n.Info()
		return
	}
	sent := n.opt.Now()
	start := time.Now()
	info, err := n.askInfo(ctx, m.Addr, m.Name)
	m.RTT = time.Since(start)
	if err != nil {
		m.Error, m.Refused = unanswered(err), n.refused(ctx, m.Addr)
		return
	}
	m.Reachable, m.Info = true, info
	m.Skew = info.Now.Sub(sent.Add(m.RTT / 2))
}

// unanswered is the text of the error of a mere question: where there was no answer, nothing is unknown but that.
func unanswered(err error) string {
	if late(err) {
		return "no word from it in time"
	}
	return err.Error()
}

// late reports whether the time was over, here or at the node that was asked.
func late(err error) bool {
	var f *failure
	return errors.Is(err, ErrTimeout) || errors.As(err, &f) && f.code == failUnknown
}

// refused dials afresh: the error of a call may be a second old, or that of a connection which was there before.
func (n *Node) refused(ctx context.Context, addr string) bool {
	c, err := n.probes.dial(ctx, addr)
	if err == nil {
		_ = c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

func (n *Node) askInfo(ctx context.Context, addr, name string) (Info, error) {
	b, err := n.pool.call(ctx, addr, name, callInfo, nil)
	if err != nil {
		return Info{}, err
	}
	var i Info
	if err := json.Unmarshal(b, &i); err != nil { // as large as a frame may be: hundreds of instances are described in it
		return Info{}, fmt.Errorf("%w: %w", errFrame, err)
	}
	if err := errors.Join(i.release().valid(), release{Schema: i.GroupSchema}.valid(), pki.CheckName("node name", i.Name)); err != nil {
		return Info{}, fmt.Errorf("%w: %w", errFrame, err)
	}
	i.Schema = i.release().schema()
	n.heardEpoch(epochWord{i.Epoch, i.InForce}, i.Name)
	return i, nil
}

// WaitAll returns nil when every member has applied index. The error names each one that has not; nothing else hangs on it, so it is no ErrTimeout.
func (n *Node) WaitAll(ctx context.Context, index uint64) error {
	servers := n.membership().Servers
	errs := make([]error, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			wait := func() error { return n.waitMember(ctx, s, index) }
			if s.ID == *n.id.Load() {
				wait = func() error { return waitApplied(ctx, n.state, &n.applied, index) }
			}
			if err := wait(); err != nil {
				errs[i] = behind(nameOf(s.ID), index, err)
			}
		}()
	}
	wg.Wait()
	return errors.Join(errs...)
}

// behind says that a member has not applied index. It wraps nothing: a dial that ran into its own time-out is a context.DeadlineExceeded, and would be taken for an unknown outcome.
func behind(name string, index uint64, err error) error {
	if late(err) {
		return fmt.Errorf("node %s has not applied %d in time", name, index)
	}
	return fmt.Errorf("node %s has not applied %d: %v", name, index, err)
}

// waitMember asks again while the member cannot be reached, or gives up waiting before ctx ends.
func (n *Node) waitMember(ctx context.Context, s raft.Server, index uint64) error {
	wait := backoff{base: 20 * time.Millisecond, limit: time.Second}
	for {
		_, err := n.pool.call(ctx, string(s.Address), nameOf(s.ID), callWait, encodeIndex(index))
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(wait.next()):
		case <-ctx.Done():
			return err
		case <-n.ctx.Done():
			return ErrClosed
		}
	}
}
