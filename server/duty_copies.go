package server

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/raftnode"
	"github.com/holdfast-lb/holdfast/server/copies"
)

const (
	// copiesEvery is how often the leader looks whether all values beside the log have their holders.
	copiesEvery = 2 * time.Second
	// copiesPatience is how long a holder may be silent before others take its place: longer than a restart takes.
	copiesPatience = 30 * time.Second
	// copiesMove is how long the values of a node that is removed may take to move.
	copiesMove = 15 * time.Second
)

// copiesPatience is how long a holder may be silent.
func (c Config) copiesPatience() time.Duration { return cmp.Or(c.patience, copiesPatience) }

// copiesReport is what a node says about the values that it keeps beside the log.
type copiesReport struct {
	// Missing is how many it should have and cannot fetch.
	Missing int `json:"missing"`
}

// copiesDuty gives values beside the log other holders in the place of those that are gone.
type copiesDuty struct {
	*term
	kept     func() (list []fsm.StoreHolding, values, lost int)
	members  func() []string
	mend     func(context.Context, copies.Mending) (copies.Mended, error)
	patience time.Duration
	silent   map[string]time.Time // ids of members that do not answer, since when; of this term
}

func (*copiesDuty) name() string { return "copies" }

func (d *copiesDuty) look(ctx context.Context) (time.Duration, error) {
	list, values, lost := d.kept()
	if values == lost {
		return copiesEvery, nil
	}
	members := d.members()
	lacks := d.judge(ctx, members)
	away := func(id string) bool { since, silent := d.silent[id]; return silent && time.Since(since) >= d.patience }
	wrong, holders := false, 0
	for _, h := range list {
		holders += h.Values
		wrong = wrong || !slices.Contains(members, h.ID) || away(h.ID) || lacks[h.ID]
	}
	if !wrong && holders >= (values-lost)*min(fsm.MaxHolders, len(members)) {
		return copiesEvery, nil
	}
	done, err := d.mend(ctx, copies.Mending{Away: away, Lacks: func(id string) bool { return lacks[id] }, Propose: d.do})
	if done.Moved > 0 {
		d.log.Info("values of the store have other holders", "values", done.Moved)
	}
	if done.Lost > 0 {
		d.log.Error("values of the store are lost: no node has their bytes any more", "values", done.Lost)
	}
	if err == nil && done.Failure != nil {
		err = fmt.Errorf("%d values of the store have not all their holders: %w", done.Stuck, done.Failure)
	}
	return copiesEvery, err
}

// judge asks all nodes, and gives the members that say that they lack values.
func (d *copiesDuty) judge(ctx context.Context, members []string) map[string]bool {
	reports, asked := d.reports.get(ctx, time.Second)
	answered, lacks := map[string]bool{}, map[string]bool{}
	for _, r := range reports {
		for _, id := range members {
			if memberName(id) == r.node && r.reachable {
				answered[id] = true
				lacks[id] = r.Copies != nil && r.Copies.Missing > 0
			}
		}
	}
	silent := make(map[string]time.Time)
	for _, id := range members {
		if !answered[id] {
			silent[id] = asked
			if since, before := d.silent[id]; before {
				silent[id] = since
			}
		}
	}
	d.silent = silent
	return lacks
}

func memberName(id string) string {
	name, _, _ := strings.Cut(id, "/")
	return name
}

// moveCopies gives the values of a node that is going to be removed other holders. It is refused when some would be lost with it, unless force is set.
func (s *Server) moveCopies(ctx context.Context, name string, force bool) error {
	members := s.node.MemberIDs()
	at := slices.IndexFunc(members, func(id string) bool { return memberName(id) == name })
	list, _, _ := s.state.StoreHoldings()
	if at < 0 || !slices.ContainsFunc(list, func(h fsm.StoreHolding) bool { return h.ID == members[at] }) {
		return nil
	}
	leaves := members[at]
	moving, cancel := context.WithTimeout(ctx, copiesMove)
	defer cancel()
	answers := map[string]bool{}
	for _, r := range s.reports(moving) {
		answers[r.node] = r.reachable
	}
	away := func(id string) bool { return !answers[memberName(id)] }
	done, err := s.copies.Mend(moving, copies.Mending{Away: away, Lacks: func(string) bool { return false }, Leaves: leaves, Propose: s.node.Propose})
	if err == nil {
		err = done.Failure
	}
	left := 0 // values that nobody else has, as far as anybody knows
	s.state.StoredCopies(func(v *fsm.Stored) bool {
		others := slices.ContainsFunc(v.Copy.Holders, func(id string) bool { return id != leaves && slices.Contains(members, id) && !away(id) })
		if slices.Contains(v.Copy.Holders, leaves) && !others {
			left++
		}
		return true
	})
	if left = max(left, done.Alone); left == 0 || force { // who is named may have it not
		s.log.Info("values of the store were given other holders, because a node is removed", "member", name, "values", done.Moved, "left", left)
		return nil
	}
	return fmt.Errorf("%w: %d values of the store would be lost with it, because no other node that answers has them and none has taken them (%w): bring the other nodes back, or force it", raftnode.ErrRefused, left, err)
}
