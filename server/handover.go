package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/raftnode"
	"github.com/holdfast-lb/holdfast/server/copies"
	"github.com/holdfast-lb/holdfast/vip"
)

const (
	// preparedFor is how long a successor stays prepared without another word, prepareEvery how often it gets one.
	preparedFor, prepareEvery = 1500 * time.Millisecond, 300 * time.Millisecond
	// askWait bounds one word to another node during a hand-over.
	askWait = time.Second
	// drainLeast is how long a hand-over waits in any case: handshakes that were under way when the relay began are counted once they are over. A client on a
	// slow line, or one whose last packet of three is lost, needs most of a second. No request waits for it.
	drainLeast = time.Second
	// relayPatience is for how long a relay may not come about again, as long as this node's guard process is replaced.
	relayPatience = time.Second
	// drainPoll is how often the connections that are left are counted.
	drainPoll = 2 * time.Millisecond
	// successorPoll is how often a prepared node looks whether another one than it leads now.
	successorPoll = 10 * time.Millisecond
)

var (
	errNoSuccessor = errors.New("no other node can take over")
	errHandingOver = errors.New("a hand-over is under way already")
	errUnprepared  = errors.New("the successor does not stay prepared")
	errNotLeading  = fmt.Errorf("%w: this node does not lead", raftnode.ErrNoQuorum)
)

// handOver makes another node lead, and hold the addresses if this one does: to, or, if that is empty, the most suitable one. Connections to the addresses
// have until drain to end; those that begin meanwhile end on the successor already. No request fails unless the drain time is over.
func (s *Server) handOver(ctx context.Context, to string, drain time.Duration) error {
	if s.address != nil {
		if !s.address.handing.TryLock() {
			return errHandingOver
		}
		defer s.address.handing.Unlock()
	}
	if s.node.Info().Role != "leader" {
		return errNotLeading
	}
	if to == s.config.Name {
		return nil
	}
	successors, errs := s.successors(ctx, to)
	for _, name := range successors {
		err := s.handOverTo(ctx, name, drain)
		if err == nil {
			s.log.Info("leadership has been handed over", "to", name)
			return nil
		}
		errs = append(errs, fmt.Errorf("node %s: %w", name, err))
		if ctx.Err() != nil {
			break
		}
	}
	if len(errs) == 0 {
		return errNoSuccessor
	}
	return fmt.Errorf("%w: %w", errNoSuccessor, errors.Join(errs...))
}

// flawedRank comes behind all others: of nodes that may hold, but had better not.
const flawedRank = 1 << 20

// successors lists who may follow, the best first, and says why the others may not. A node with a flaw may follow one that must go, or that has one too and
// is told to whom.
func (s *Server) successors(ctx context.Context, to string) (names []string, errs []error) {
	op := s.state.Operating()
	_, evacuated := evacuation(op, s.config.Name)
	var ips []netip.Addr
	if s.address != nil {
		ips = s.address.ips
	}
	anyhow := s.leaving.Load() || evacuated || to != "" && s.serves() != nil
	var fit []candidate
	for _, r := range s.reports(ctx) {
		if r.self || to != "" && r.node != to {
			continue
		}
		rank := preference(op.Config, r.node, r.zone)
		if anyhow && r.VIP != nil && r.VIP.Flawed {
			rank += flawedRank
		} else if err := r.mayHold(s.address != nil); err != nil {
			errs = append(errs, fmt.Errorf("node %s: %w", r.node, err))
			continue
		}
		if _, out := evacuation(op, r.node); out && to == "" {
			errs = append(errs, fmt.Errorf("node %s is evacuated", r.node))
			continue
		}
		fit = append(fit, candidate{r.node, rank, len(r.lacks(op, s.state)), r.VIP.without(ips)})
	}
	if to != "" && len(fit) == 0 && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("node %q is no other member of the group", to))
	}
	slices.SortFunc(fit, candidate.compare)
	for _, c := range fit {
		names = append(names, c.node)
	}
	return names, errs
}

// mayHold is nil when a node could hold the addresses now, or lead when there are none.
func (r *memberReport) mayHold(addresses bool) error {
	switch {
	case !r.reachable:
		return errors.New("does not answer")
	case !r.voter:
		return errors.New("has no vote")
	case r.disk != "":
		return errors.New(r.disk)
	case addresses && r.VIP == nil:
		return errors.New("runs without --vip")
	case addresses && !r.VIP.Eligible:
		return errors.New(r.VIP.Reason)
	case !r.Ready && !addresses:
		return errors.New(r.Reason)
	}
	return nil
}

// handOverTo does it for one successor. Whatever fails, everything is as before.
func (s *Server) handOverTo(ctx context.Context, name string, drain time.Duration) (err error) {
	a := s.address
	// ctx may be that of the term, which ends when this succeeds; and what is begun must be ended.
	lasting := context.WithoutCancel(ctx)
	transfer := func() error {
		ctx, cancel := context.WithTimeout(lasting, leaveTime)
		defer cancel()
		return s.node.TransferTo(ctx, name)
	}
	if a == nil || !a.Status().Holds {
		return transfer()
	}
	relayed, err := s.relayTo(ctx, name)
	if why := a.GaveUp(); err != nil && why != nil {
		return transfer()
	}
	if err != nil {
		return err
	}
	if relayed {
		s.balancer.DrainAddresses(a.ips)
		defer s.balancer.DrainAddresses(nil)
		err = s.drainAddresses(ctx, name, drain)
	}
	if err == nil {
		over := a.HandingOver()
		if err = transfer(); err == nil && over != nil {
			s.balancer.CutAddresses(a.ips) // while their end can still be sent from here
			<-over                         // at the end of the lease at the latest
		}
	}
	if err != nil {
		a.Staying()
		if relayed {
			err = errors.Join(err, a.Relay(lasting, nil))
		}
		release := func() { _, _ = s.ask(lasting, name, asked{Do: askRelease}) }
		if ctx.Err() != nil { // the term is over, most likely: nothing of the next one may wait for a node that does not answer
			s.background.Go(release)
		} else {
			release()
		}
	}
	return err
}

// relayTo has the successor prepared and new connections go to it. It tells false when connections cannot be relayed: then the
// addresses move without, and those connections break that are open at that moment.
func (s *Server) relayTo(ctx context.Context, name string) (bool, error) {
	reply, err := s.askPrepared(ctx, name)
	if err != nil {
		return false, fmt.Errorf("prepare: %w", err)
	}
	if reply.NoRelay != "" {
		_, _ = s.ask(ctx, name, asked{Do: askRelease})
		s.log.Warn("connections cannot be relayed to the successor: those that are open when the virtual address moves break", "successor", name, "reason", reply.NoRelay)
		return false, nil
	}
	switch err := s.address.Relay(ctx, reply.Hops); {
	case errors.Is(err, vip.ErrNoRelay):
		s.log.Warn("connections cannot be relayed from here: those that are open when the virtual address moves break", "reason", err)
		_, _ = s.ask(ctx, name, asked{Do: askRelease})
		return false, nil
	case err != nil:
		_, _ = s.ask(ctx, name, asked{Do: askRelease})
		return false, fmt.Errorf("relay: %w", err)
	}
	return true, nil
}

// askPrepared has the successor prepared. One that names no address by which packets could be sent on to it is no end of a relay: it has none of its own on the
// interfaces of the virtual ones, as on a loopback interface.
func (s *Server) askPrepared(ctx context.Context, name string) (answered, error) {
	reply, err := s.ask(ctx, name, asked{Do: askPrepare, LastingMillis: preparedFor.Milliseconds()})
	if err == nil && reply.NoRelay == "" && len(reply.Hops) == 0 {
		reply.NoRelay = "it has no address of its own on the interfaces of the virtual addresses"
	}
	return reply, err
}

// drainAddresses waits until no connection to the addresses is left, at most for drain, while the successor stays prepared and new connections go to it.
// It fails when they do not any more.
func (s *Server) drainAddresses(ctx context.Context, name string, drain time.Duration) error {
	began := time.Now()
	end, word, kept := began.Add(max(drain, drainLeast)), began.Add(prepareEvery), began
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	for {
		if why := s.address.GaveUp(); why != nil { // nobody has them: what is still open here is lost, and the successor is ready
			s.log.Warn("the drain ends early: this node had to drop the virtual address", "reason", why)
			return nil
		}
		total, _ := s.address.open(s.address.ips)
		now := time.Now()
		late := now.After(end)
		if done := total == 0 && now.Sub(began) >= drainLeast; done || late || now.After(word) {
			relayed, err := s.keepRelay(ctx, name)
			switch {
			case relayed:
				kept, word = now, now.Add(prepareEvery)
			case !errors.Is(err, errUnprepared) && now.Sub(kept) <= relayPatience: // the guard process is being replaced
			case !errors.Is(err, errUnprepared) && !s.address.Status().Holds: // and is not there again: better there than nowhere
				s.log.Warn("the drain ends early: this node has lost the virtual address", "reason", err)
				return nil
			default:
				return fmt.Errorf("connections do not go to the successor any more: %w", err)
			}
			total, upgraded := s.address.open(s.address.ips) // some may have come before that
			switch {
			case relayed && done && total == 0:
				return nil
			case relayed && late:
				s.log.Warn("connections to the virtual address are cut off: they did not end in time", "connections", total, "upgraded", upgraded, "after", drain)
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("hand-over: %w", ctx.Err())
		}
	}
}

// keepRelay has the successor stay prepared, and makes the relay anew: the guard process at either end may have been replaced.
func (s *Server) keepRelay(ctx context.Context, name string) (relayed bool, err error) {
	reply, err := s.askPrepared(ctx, name)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errUnprepared, err)
	}
	if reply.NoRelay != "" {
		return false, fmt.Errorf("%w: %s", errUnprepared, reply.NoRelay)
	}
	if err := s.address.Relay(ctx, reply.Hops); err != nil {
		return false, fmt.Errorf("relay: %w", err)
	}
	return true, nil
}

// What nodes tell each other about the addresses, and about backups.
const (
	askPrepare  = "prepare"  // holder to successor: be ready to take over, for so long
	askRelease  = "release"  // holder to successor: do not
	askTaken    = "taken"    // new holder to the one before
	askTransfer = "transfer" // any node to the leader: make another node lead
	askRemove   = "remove"   // any node to the leader: remove a node
	askResync   = "resync"   // any node to one: drop your state and take a new copy

	askBackup      = "backup"       // leader to a node: make the backup with this id, unless you do already
	askBackupState = "backup-state" // how is it
)

type asked struct {
	Do            string `json:"do"`
	LastingMillis int64  `json:"lastingMillis,omitempty"`
	To            string `json:"to,omitempty"`
	Force         bool   `json:"force,omitempty"`
	ID            string `json:"id,omitempty"`
}

type answered struct {
	Hops    []vip.Hop `json:"hops,omitempty"`
	NoRelay string    `json:"noRelay,omitempty"`
	// Backup is set after askBackup and askBackupState.
	Backup *backupOutcome `json:"backup,omitempty"`
}

// ask tells another node something, or this one.
func (s *Server) ask(ctx context.Context, name string, what asked) (answered, error) {
	wait := askWait
	switch what.Do {
	case askTransfer:
		wait = transferWait
	case askRemove, askResync:
		wait = memberWait
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var reply answered
	request, err := json.Marshal(what)
	if err != nil {
		return reply, fmt.Errorf("ask node %s: %w", name, err)
	}
	b, err := s.node.Ask(ctx, name, request)
	if err != nil {
		return reply, err
	}
	if err := json.Unmarshal(b, &reply); err != nil {
		return reply, fmt.Errorf("ask node %s: its answer cannot be read: %w", name, err)
	}
	return reply, nil
}

// answer is the other end of ask.
func (s *Server) answer(ctx context.Context, from string, request []byte) ([]byte, error) {
	if copies.IsQuestion(request) {
		return s.copies.Answer(ctx, request)
	}
	var what asked
	if err := json.Unmarshal(request, &what); err != nil {
		return nil, fmt.Errorf("%w: %w", raftnode.ErrRefused, err)
	}
	var reply answered
	var err error
	switch {
	case what.Do == askTransfer:
		err = s.handOver(ctx, what.To, transferDrain)
	case what.Do == askRemove, what.Do == askResync:
		err = s.changeMembers(ctx, what)
	case what.Do == askBackup || what.Do == askBackupState:
		var o backupOutcome
		if o, err = s.backupAsked(from, what); err == nil {
			reply.Backup = &o
		}
	case s.address == nil:
		err = errors.New("this node runs without --vip")
	case what.Do == askPrepare:
		reply, err = s.prepare(ctx, from, time.Duration(what.LastingMillis)*time.Millisecond)
	case what.Do == askRelease:
		err = s.address.Unprepare(ctx)
	case what.Do == askTaken:
		s.address.Released()
	default:
		err = fmt.Errorf("this node does not know what %q is", what.Do)
	}
	if err != nil && !errors.Is(err, raftnode.ErrNoQuorum) {
		err = fmt.Errorf("%w: %w", raftnode.ErrRefused, err)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(reply)
}

const (
	// transferDrain is how long connections may take to end when an operator moves the address, transferWait how long the operator's node waits for that.
	transferDrain, transferWait = 20 * time.Second, 25 * time.Second
)

// prepare is what the holder asks for, who must lead: a node that was replaced as the leader moves nothing.
func (s *Server) prepare(ctx context.Context, holder string, lasting time.Duration) (answered, error) {
	if lasting <= 0 || lasting > 10*preparedFor {
		return answered{}, fmt.Errorf("prepared for %v is out of range", lasting)
	}
	if s.leaving.Load() {
		return answered{}, errLeaving
	}
	if err := s.goes(); err != nil {
		return answered{}, err
	}
	if leader := s.node.Info().Leader; leader != holder {
		return answered{}, fmt.Errorf("node %q does not lead, as far as this node knows: %q does", holder, leader)
	}
	first := s.address.Prepared() != holder
	hops, err := s.address.Prepare(ctx, holder, lasting)
	if errors.Is(err, vip.ErrNoRelay) {
		return answered{NoRelay: err.Error()}, nil
	}
	if goes := s.goes(); err == nil && goes != nil { // since it was looked at; an upgrade or a resync that has begun looks for this preparation after that
		return answered{}, errors.Join(goes, s.address.Unprepare(ctx))
	}
	if err == nil && first {
		s.background.Go(func() { s.watchPreparation(holder) })
	}
	return answered{Hops: hops}, err
}

// finishTakeover waits, in a node that is to leave, until it has taken over what is being handed over to it: clients' new connections come to it already.
// Then it can hand over itself.
func (s *Server) finishTakeover() {
	if s.address == nil {
		return
	}
	tick := time.NewTicker(successorPoll)
	defer tick.Stop()
	for end := time.Now().Add(drainTime + preparedFor); s.address.Prepared() != "" && time.Now().Before(end); {
		<-tick.C
	}
}

// watchPreparation ends the preparation when another node than holder leads: then the addresses must not be on two machines.
func (s *Server) watchPreparation(holder string) {
	tick := time.NewTicker(successorPoll)
	defer tick.Stop()
	for s.address.Prepared() == holder {
		if leader := s.node.Leader(); leader != holder && leader != s.config.Name && leader != "" {
			if err := s.address.Unprepare(context.Background()); err != nil {
				s.log.Error("the preparation for the virtual address could not be ended", "error", err)
			}
			return
		}
		select {
		case <-tick.C:
		case <-s.ended:
			return
		}
	}
}
