package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/raftnode"
)

// onLead runs on a new leader, once it has the whole state, until its term ends.
func (s *Server) onLead(ctx context.Context, number uint64) {
	s.log.Info("this node leads", "term", number)
	t := &term{
		node: s.config.Name, state: s.state, changed: s.node.Changed, log: s.log, jobs: s.jobs,
		propose: func(ctx context.Context, c fsm.Command) (fsm.Result, error) { return s.node.Command(ctx, number, c) },
		reports: &gatherer{ask: s.reports}, clock: s.node.GroupTime,
	}
	register := newRegisterDuty(t)
	events := &eventDuty{term: t, mark: s.mark, tell: s.node.TellLogged}
	duties := []duty{
		&quiesceDuty{term: t}, events, &healthDuty{term: t}, register, scheduleDuty{t}, lockDuty{t}, &sharesDuty{term: t},
		&skewDuty{term: t, gauge: s.skew}, &tokenDuty{s},
	}
	duties = append(duties, &holderDuty{term: t, self: s.self, others: t.reports.get, handOver: s.handOver, announce: s.announceAddresses}, &backupDuty{term: t, ask: s.ask, id: backupID},
		&quarantineDuty{term: t, known: s.state.InQuarantine}, &silenceDuty{term: t, known: s.state.Silent}, &restoreDuty{term: t, under: s.state.Restoring}, ticketDuty{t, s.state.Group}, filesDuty{t})
	duties = append(duties, &copiesDuty{term: t, kept: s.state.StoreHoldings, members: s.node.MemberIDs, mend: s.copies.Mend, patience: s.config.copiesPatience()})
	obtain := &acmeDuty{term: t, number: number, group: s.state.Group, open: newACMEClient}
	duties = append(duties, obtain)
	s.jobs.begin(duties)
	s.register.Store(register)
	t.run(ctx, duties...)
	obtain.close()
	s.register.CompareAndSwap(register, nil)
	s.jobs.end()
	events.telling.Wait()
}

// reports asks all members.
func (s *Server) reports(ctx context.Context) []memberReport {
	members := s.node.Members(ctx)
	list := make([]memberReport, len(members))
	for i, m := range members {
		list[i] = newReport(m, s.config.Name)
	}
	return list
}

// self is this node's own report, without asking anybody.
func (s *Server) self() memberReport {
	r := memberReport{node: s.config.Name, self: true, voter: true, zone: s.config.Zone, reachable: true}
	r.disk = worthMoving(s.node.DiskTrouble())
	r.VIP = s.addressReport()
	return r
}

// worthMoving says what trouble of its own disk makes a leader hand over, empty for none. A hang is not one: the others' disks may hang with it, and raftnode, which asks them, gives
// up by itself when they do not. A hand-over that begins here would only be done when all of them answer again, for nothing.
func worthMoving(trouble error) string {
	if trouble == nil || errors.Is(trouble, raftnode.ErrDiskStalled) {
		return ""
	}
	return trouble.Error()
}

// instanceCall is what a node tells the leader about an instance that keeps itself registered.
type instanceCall struct {
	Cluster  string          `json:"cluster"`
	Instance config.Instance `json:"instance"`
	Actor    string          `json:"actor"`
	// Bye: the instance goes.
	Bye bool `json:"bye,omitempty"`
}

// callLeader has the leader take c, here or one hop away.
func (s *Server) callLeader(ctx context.Context, c instanceCall) (r fsm.Result, err error) {
	request, err := json.Marshal(c)
	if err != nil {
		return r, fmt.Errorf("heartbeat: %w", err)
	}
	reply, err := s.node.Heartbeat(ctx, request)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(reply, &r); err != nil {
		return r, fmt.Errorf("heartbeat: the leader's answer cannot be read: %w", err)
	}
	return r, nil
}

// takeHeartbeat is the leader's end of callLeader.
func (s *Server) takeHeartbeat(ctx context.Context, request []byte) ([]byte, error) {
	var c instanceCall
	if err := json.Unmarshal(request, &c); err != nil {
		return nil, fmt.Errorf("%w: heartbeat: %w", raftnode.ErrRefused, err)
	}
	register := s.register.Load()
	if register == nil {
		return nil, fmt.Errorf("the leader's duties have not begun yet: %w", raftnode.ErrNoQuorum)
	}
	var r fsm.Result
	var err error
	if c.Bye {
		r, err = register.bye(ctx, c.Cluster, c.Instance.Name, c.Actor)
	} else {
		r, err = register.beat(ctx, c.Cluster, c.Instance, c.Actor)
	}
	if err != nil {
		return nil, err
	}
	reply, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("heartbeat: %w", err)
	}
	return reply, nil
}
