package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

const (
	// backupLook is how often the leader asks who can make backups; backupPoll is how often it asks the node that makes one.
	backupLook, backupPoll = 10 * time.Second, time.Second
	// backupSilence is how long that node may be silent before the attempt counts as failed.
	backupSilence = 30 * time.Second
	// backupRetry is the pause after a backup that failed; it doubles with each one, up to the interval.
	backupRetry = time.Minute
)

// backupDuty has one of the nodes that run with --backup-to make a backup when it is time.
//
// The state says which attempt is the newest and whether it runs, and takes the next one by compare-and-swap: so nobody makes one beside another. The node
// that makes it knows it by its id; a new leader that finds it running asks that node, for which it is the same one. Only when that node is silent for
// too long, or has forgotten it with its process, the attempt is over, and after a pause another node is asked.
type backupDuty struct {
	*term
	// ask asks a node, or this one.
	ask func(ctx context.Context, node string, what asked) (answered, error)
	// id makes the id of an attempt.
	id func() string

	begun  string    // the attempt that its node is known to have begun
	silent time.Time // since when that node has not answered; zero: it has
}

// backupID is 16 hexadecimal digits.
func backupID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process when there is no randomness
	return hex.EncodeToString(b[:])
}

func (*backupDuty) name() string { return "backup" }

func (d *backupDuty) look(ctx context.Context) (time.Duration, error) {
	b := d.state.Operating().Backups
	if b != nil && b.Runs() {
		return d.follow(ctx, b)
	}
	d.silent = time.Time{}
	reports, _ := d.reports.get(ctx, backupLook/2)
	offers := d.offers(reports)
	if len(offers) == 0 {
		return backupLook, nil
	}
	every := offers[0].every
	for _, o := range offers {
		every = min(every, o.every)
	}
	if left := backupDue(b, every).Sub(d.now()); left > 0 {
		return min(left, backupLook), nil
	}
	c := &fsm.BackupBegin{ID: d.id(), Node: offers[0].node, Every: every}
	if b != nil {
		c.Expect = b.ID
		c.Node = offers[b.Failures%len(offers)].node // another one when it has failed
	}
	r, err := d.do(ctx, c)
	if err == nil && r.Code != fsm.CodeConflict { // a conflict is the last word of the leader before
		err = refusal(r)
	}
	return 0, err
}

// offer is a node that can make backups.
type offer struct {
	node      string
	self, out bool
	every     time.Duration
}

// offers lists who can make one, this node first, those that are evacuated last.
func (d *backupDuty) offers(reports []memberReport) (list []offer) {
	op := d.state.Operating()
	for i := range reports {
		if r := &reports[i]; r.reachable && r.Backup != nil {
			// What another node says is not believed: an interval of nothing would be one backup after the other.
			every := max(time.Duration(r.Backup.EveryMillis)*time.Millisecond, minBackupEvery)
			_, out := evacuation(op, r.node)
			list = append(list, offer{r.node, r.self, out, every})
		}
	}
	rank := func(o offer) int {
		switch {
		case o.out:
			return 2
		case o.self:
			return 0
		}
		return 1
	}
	slices.SortFunc(list, func(a, b offer) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.node, b.node)) })
	return list
}

// backupDue is when the next one is due: an interval after the last one began, or a pause after one that failed.
func backupDue(b *fsm.Backups, every time.Duration) time.Time {
	switch {
	case b == nil:
		return time.Time{}
	case b.Failures == 0:
		return b.Begun.Add(every)
	}
	pause := min(backupRetry, every)
	for range b.Failures - 1 {
		if pause = min(2*pause, every); pause == every {
			break
		}
	}
	return b.Ended.Add(pause)
}

// follow has the node begin the attempt, asks how it is, and has the group note how it ended.
func (d *backupDuty) follow(ctx context.Context, b *fsm.Backups) (time.Duration, error) {
	what := asked{Do: askBackup, ID: b.ID}
	if d.begun == b.ID {
		what.Do = askBackupState
	}
	reply, err := d.ask(ctx, b.Node, what)
	if ctx.Err() != nil {
		return 0, nil
	}
	if err == nil && reply.Backup == nil {
		err = fmt.Errorf("node %s says nothing about the backup", b.Node)
	}
	end := &fsm.BackupEnd{ID: b.ID, Proposer: d.node}
	switch {
	case err != nil:
		if d.silent.IsZero() {
			d.silent = time.Now()
		}
		if time.Since(d.silent) < backupSilence {
			return backupPoll, nil
		}
		end.Failure = clip(err.Error(), maxFailure)
	case reply.Backup.State == backupRuns:
		d.begun, d.silent = b.ID, time.Time{}
		return backupPoll, nil
	case reply.Backup.State == backupUnknown:
		end.Failure = "the node was started again while it made it"
	default:
		end.Failure, end.Name, end.Index, end.Bytes = clip(reply.Backup.Failure, maxFailure), reply.Backup.Name, reply.Backup.Index, reply.Backup.Bytes
	}
	d.silent = time.Time{}
	r, err := d.do(ctx, end)
	if err == nil && r.Code != fsm.CodeAbsent {
		err = refusal(r)
	}
	return 0, err
}
