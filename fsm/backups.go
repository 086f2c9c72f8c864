package fsm

import (
	"fmt"
	"math"
	"time"
)

// minBackupEvery is the shortest interval that is kept: an attempt costs two entries and an event.
const minBackupEvery = time.Second

// problem says why it cannot be kept, or nothing.
func (b *Backups) problem() string {
	var k check
	k.id("the id of the backup", b.ID)
	k.node(b.Node)
	k.text("the failure", b.Failure)
	switch {
	case b.Every < minBackupEvery:
		k.failf("a backup every %v is too often, at most every %v", b.Every, minBackupEvery)
	case b.Failures < 0 || b.Failure != "" && b.Failures == 0:
		k.failf("%d backups failed in a row: that is no count", b.Failures)
	case b.Runs() && b.Failure != "":
		k.failf("a backup that runs has not failed yet")
	}
	if g := b.Good; g != nil {
		k.node(g.Node)
		g.check(&k)
	}
	return k.message
}

func (g *GoodBackup) check(k *check) {
	if k.text("the name of the archive", g.Name); g.Name == "" {
		k.failf("the name of the archive is missing")
	}
	if g.Index == 0 || g.Bytes <= 0 {
		k.failf("an archive of index %d with %d bytes is none", g.Index, g.Bytes)
	}
}

func (r *replica) backupBegin(index uint64, c *BackupBegin) Result {
	now := millis(r.now.Load())
	next := &Backups{First: now}
	old := r.operating.Load().Backups
	if old != nil {
		next = new(*old)
	}
	next.ID, next.Node, next.Every, next.Begun, next.Ended, next.Failure = c.ID, c.Node, c.Every.Truncate(time.Millisecond), now, time.Time{}, ""
	k := check{message: next.problem()}
	k.name("the id of the backup before", c.Expect)
	if res, refused := k.refused(); refused {
		return res
	}
	newest := ""
	if old != nil {
		newest = old.ID
	}
	switch {
	case newest == c.ID && old.Node == c.Node && old.Runs():
		return Result{}
	case newest != c.Expect || newest == c.ID:
		return Result{Code: CodeConflict, Message: fmt.Sprintf("the newest backup of the schedule is %q, not %q", newest, c.Expect)}
	case old != nil && old.Runs():
		return Result{Code: CodeConflict, Message: fmt.Sprintf("backup %s is being made by node %s", old.ID, old.Node)}
	}
	r.operate(index, func(o *Operating) { o.Backups = next })
	return Result{}
}

func (r *replica) backupEnd(index uint64, c *BackupEnd) Result {
	good := GoodBackup{Name: c.Name, Index: c.Index, Bytes: c.Bytes}
	var k check
	k.id("the id of the backup", c.ID)
	k.text("the failure", c.Failure)
	if c.Failure == "" {
		good.check(&k)
	}
	if c.Proposer != "" {
		k.node(c.Proposer)
	}
	if res, refused := k.refused(); refused {
		return res
	}
	old := r.operating.Load().Backups
	if old == nil || old.ID != c.ID {
		return Result{Code: CodeAbsent, Message: fmt.Sprintf("%q is not the newest backup of the schedule", c.ID)}
	}
	if !old.Runs() {
		return Result{}
	}
	next := new(*old)
	next.Ended = millis(r.now.Load())
	e := Event{Kind: EventBackup, Node: firstName(c.Proposer, old.Node)}
	if c.Failure == "" {
		good.Node, good.At = old.Node, old.Begun
		next.Good, next.Failures = &good, 0
		e.Text = fmt.Sprintf("Backup %s made by node %s: index %d, %d bytes", good.Name, good.Node, good.Index, good.Bytes)
	} else {
		next.Failure = c.Failure
		next.Failures = min(old.Failures, math.MaxInt32-1) + 1
		e.Kind, e.Text = EventBackupFailed, fmt.Sprintf("Backup by node %s failed%s", old.Node, because(c.Failure))
	}
	r.operate(index, func(o *Operating) { o.Backups = next })
	r.emit(index, e)
	return Result{}
}

// appendBackups is the canonical form of what is known of backups.
func appendBackups(b []byte, k *Backups) []byte {
	b = appendTime(b, k.First)
	b = appendU64(b, uint64(k.Every.Milliseconds()))
	b = appendBytes(b, k.ID)
	b = appendBytes(b, k.Node)
	b = appendTime(b, k.Begun)
	b = appendTime(b, k.Ended)
	b = appendBytes(b, k.Failure)
	b = appendU32(b, uint32(k.Failures))
	g := k.Good
	if g == nil {
		return append(b, 0)
	}
	b = append(b, 1)
	b = appendBytes(b, g.Node)
	b = appendBytes(b, g.Name)
	b = appendU64(b, g.Index)
	b = appendU64(b, uint64(g.Bytes))
	return appendTime(b, g.At)
}

func parseBackups(b []byte) (*Backups, bool) {
	p := parser{b: b}
	k := &Backups{First: p.time()}
	every := p.u64()
	k.ID, k.Node, k.Begun, k.Ended, k.Failure = p.string(), p.string(), p.time(), p.time(), p.string()
	failures, good := p.u32(), p.u8()
	if good == 1 {
		k.Good = &GoodBackup{Node: p.string(), Name: p.string(), Index: p.u64()}
		n := p.u64()
		k.Good.At = p.time()
		if n > math.MaxInt64 {
			return nil, false
		}
		k.Good.Bytes = int64(n)
	}
	if !p.done() || every > maxMillis || good > 1 || failures > math.MaxInt32 {
		return nil, false
	}
	k.Every, k.Failures = time.Duration(every)*time.Millisecond, int(failures)
	return k, k.problem() == ""
}
