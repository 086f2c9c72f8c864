package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/lb"
	"github.com/holdfast-lb/holdfast/raftnode"
	"github.com/holdfast-lb/holdfast/raftnode/pki"
)

// adminNode is the node as the admin API drives it.
type adminNode struct{ s *Server }

// Propose also waits until this node has applied the command, so that the caller's next read here sees it.
func (a adminNode) Propose(ctx context.Context, c fsm.Command) (fsm.Result, error) {
	result, err := a.s.node.Propose(ctx, c)
	if err != nil {
		return result, adminError(err)
	}
	return result, adminError(a.s.node.WaitApplied(ctx, result.Index))
}

// Record is for operators' moves and drops.
func (a adminNode) Record(ctx context.Context, op fsm.SessionOp) (fsm.SessionResult, error) {
	result, err := a.s.node.Record(ctx, op)
	return result, adminError(err)
}

func (a adminNode) Heartbeat(ctx context.Context, cluster string, in config.Instance, actor string) (fsm.Result, error) {
	return a.callLeader(ctx, instanceCall{Cluster: cluster, Instance: in, Actor: actor})
}

func (a adminNode) Deregister(ctx context.Context, cluster, instance, actor string) (fsm.Result, error) {
	return a.callLeader(ctx, instanceCall{Cluster: cluster, Instance: config.Instance{Name: instance}, Actor: actor, Bye: true})
}

// callLeader also waits until this node has applied what came of the call; most heartbeats need no command.
func (a adminNode) callLeader(ctx context.Context, c instanceCall) (fsm.Result, error) {
	r, err := a.s.callLeader(ctx, c)
	if err != nil || r.Index == 0 {
		return r, adminError(err)
	}
	return r, adminError(a.s.node.WaitApplied(ctx, r.Index))
}

// Sync says why a node cannot have what the group has where it knows that: full disks are no loss of the leader or a majority.
func (a adminNode) Sync(ctx context.Context) error {
	err := a.s.node.Sync(ctx)
	if err == nil {
		return nil
	}
	if q := a.s.node.Quarantined(); q != nil && a.s.node.StateInDoubt() == nil {
		return quarantineProblem(q)
	}
	if full := a.s.node.NoRoom(); full != nil {
		err = full
	}
	return adminError(err)
}

// WaitAll returns when every node has applied index and its data plane obeys what was in force at index: its listeners are bound, its routing is that.
func (a adminNode) WaitAll(ctx context.Context, index uint64) error {
	if err := a.s.node.WaitAll(ctx, index); err != nil {
		return adminError(err)
	}
	// Most entries change nothing in Operating, so its index may be an earlier one; a later one is more than was asked for.
	want := min(index, a.s.state.Operating().Index)
	return waitObeyed(ctx, a.s.node.Members, want)
}

// waitObeyed asks until all obey. The error is what was found out before ctx ended, if anything was: a question that it cuts short says nothing about anybody.
func waitObeyed(ctx context.Context, members func(context.Context) []raftnode.MemberInfo, want uint64) (err error) {
	tick := time.NewTicker(servingPoll)
	defer tick.Stop()
	for {
		switch found := allObey(members(ctx), want); {
		case found == nil:
			return nil
		case err == nil || ctx.Err() == nil:
			err = found
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// servingPoll is how often WaitAll asks: binding a listener takes milliseconds.
const servingPoll = 20 * time.Millisecond

// allObey says which node does not obey what is in force as of index want yet, and why.
func allObey(members []raftnode.MemberInfo, want uint64) error {
	var errs []error
	for _, m := range members {
		var d description
		switch {
		case !m.Reachable:
			errs = append(errs, fmt.Errorf("node %s: %s", m.Name, m.Error))
		case json.Unmarshal(m.Info.Detail, &d) != nil:
			errs = append(errs, fmt.Errorf("node %s: its description cannot be read", m.Name))
		case d.InForce < want:
			errs = append(errs, fmt.Errorf("node %s serves what was in force at index %d, not yet that of index %d", m.Name, d.InForce, want))
		case !d.Ready && !d.Evacuated:
			errs = append(errs, fmt.Errorf("node %s: %s", m.Name, d.Reason))
		}
	}
	return errors.Join(errs...)
}

// Transfer asks the leader, which hands over.
func (a adminNode) Transfer(ctx context.Context, to string) error {
	leader := a.s.node.Leader()
	if leader == "" {
		return fmt.Errorf("%w: no leader is known", admin.ErrNoQuorum)
	}
	_, err := a.s.ask(ctx, leader, asked{Do: askTransfer, To: to})
	if errors.Is(err, raftnode.ErrRefused) {
		return &admin.RefusedError{Words: strings.TrimPrefix(err.Error(), raftnode.ErrRefused.Error()+": ")}
	}
	return adminError(err)
}

func (a adminNode) Ready() error { return a.s.ready() }

func (a adminNode) Info() admin.Info {
	i := a.s.node.Info()
	return admin.Info{Name: i.Name, Version: i.Version, Leader: i.Leader, Term: i.Term, Quorum: i.Quorum, Parted: a.s.node.Parted()}
}

func (a adminNode) Instances() []admin.InstanceStatus { return instances(a.s.balancer.Instances()) }

func (a adminNode) Members(ctx context.Context) []admin.Member {
	members := a.s.node.Members(ctx)
	list := make([]admin.Member, len(members))
	for i, m := range members {
		list[i] = a.member(m)
	}
	return list
}

func (a adminNode) member(m raftnode.MemberInfo) admin.Member {
	out := admin.Member{
		Name: m.Name, Self: m.Name == a.s.config.Name, Voter: m.Voter, Reachable: m.Reachable, Err: m.Error, PeerAddr: m.Addr,
	}
	if !m.Reachable {
		return out
	}
	var d description
	if err := json.Unmarshal(m.Info.Detail, &d); err != nil {
		d.Reason = "its description cannot be read" // a node of another version
	}
	out.Role, out.Version, out.Zone, out.AdminAddr = m.Info.Role, m.Info.Version, m.Info.Zone, m.Info.Admin
	out.Schema, out.Timing, out.Started, out.ReadOnly = m.Info.Schema, m.Info.Timing, m.Info.Started, m.Info.ReadOnly
	out.Ready, out.Reason = d.Ready, d.Reason
	out.Applied, out.Revision, out.Sessions = m.Info.DigestIndex, m.Info.Revision, m.Info.Sessions
	out.ClockSkew, out.Digest, out.Checkpoint = m.Skew, m.Info.Digest, m.Info.Checkpoint
	out.Quarantine, out.Disk, out.NoRoom = quarantineOf(m.Info.Quarantine), m.Info.Disk, m.Info.NoRoom
	out.Instances, out.InForce = instances(d.Instances), d.InForce
	for _, j := range d.Jobs {
		out.Duties = append(out.Duties, admin.DutyStatus(j))
	}
	if d.VIP != nil {
		out.VIP = &admin.VIPStatus{Addresses: d.VIP.Addresses, Holds: d.VIP.Holds, Prepared: d.VIP.Prepared, Eligible: d.VIP.Eligible, Reason: d.VIP.Reason, Conflict: d.VIP.Conflict,
			Connections: d.VIP.Connections, Warnings: d.VIP.Warnings}
	}
	if z := d.Zone; z != nil {
		out.DNS = &admin.DNSZone{Name: z.Name, TTL: time.Duration(z.TTLSeconds) * time.Second}
	}
	if b := d.Backup; b != nil {
		out.Backup = &admin.BackupSetting{To: b.To, Every: time.Duration(b.EveryMillis) * time.Millisecond, Keep: b.Keep}
	}
	if d.Programs != nil {
		out.Programs = (*admin.Programs)(d.Programs)
	}
	for _, m := range d.Modules {
		out.Modules = append(out.Modules, admin.ModuleStatus(m))
	}
	return out
}

func instances(list []lb.InstanceStatus) []admin.InstanceStatus {
	out := make([]admin.InstanceStatus, len(list))
	for i, s := range list {
		out[i] = admin.InstanceStatus{
			Cluster: s.Cluster, Instance: s.Instance, Up: s.Health != "down", Partial: s.Health == "partial", Reason: s.Reason, Since: s.Since, InFlight: s.InFlight,
			Waiting: s.Waiting, Suspect: s.Suspect, Agent: s.Agent, Withheld: s.Withheld,
			Certificate: (*admin.InstanceCertificate)(s.Certificate),
		}
	}
	return out
}

// adminError says in the API's words how a call to the group ended.
func adminError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raftnode.ErrSchema):
		_, words, _ := strings.Cut(err.Error(), raftnode.ErrSchema.Error()+": ")
		return &admin.RefusedError{Words: words}
	case errors.Is(err, raftnode.ErrQuarantined):
		return quarantineProblem(err)
	case errors.Is(err, raftnode.ErrTimeout), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fmt.Errorf("%w: %w", admin.ErrOutcomeUnknown, err)
	case errors.Is(err, raftnode.ErrNoRoom):
		return fmt.Errorf("%w: %w", admin.ErrNoRoom, err)
	case errors.Is(err, raftnode.ErrNoQuorum):
		return fmt.Errorf("%w: %w", admin.ErrNoQuorum, err)
	case errors.Is(err, raftnode.ErrClosed):
		return fmt.Errorf("%w: %w", admin.ErrClosed, err)
	}
	return err
}

// sessionNames turns session ids and cookies into keys for the admin API.
type sessionNames struct{ s *Server }

func (n sessionNames) Key(cluster, host, contextRoot, session string) (fsm.Key, error) {
	return n.s.balancer.SessionKey(cluster, host, contextRoot, session)
}

func (n sessionNames) OpenCookie(cluster, host, contextRoot, cookie string) (admin.Cookie, error) {
	c, err := lb.OpenCookie(n.s.state.Group(), cluster, host, contextRoot, cookie)
	if err != nil {
		return admin.Cookie{}, err
	}
	return admin.Cookie{Key: c.Key, Instance: c.Instance, Epoch: c.Epoch, Index: c.Index, Provisional: c.Provisional}, nil
}

// joinToken makes the text of a join token, which pins the group's authority.
func (s *Server) joinToken(id string, secret [32]byte, expires time.Time) (string, error) {
	group := s.state.Group()
	if group == nil {
		return "", errors.New("the group has not been founded yet")
	}
	return pki.JoinToken{GroupID: group.ID, CAPin: pki.PinOf(group.CACert), ID: id, Secret: secret, Expires: expires}.String(), nil
}
