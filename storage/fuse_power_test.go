//go:build fuse

package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// promise is what a process was promised when the power went off.
type promise struct {
	last, commit, term, first, snapshot uint64
	identity                            bool
}

// read takes a mark: a word and a number.
func (p *promise) read(t *testing.T, mark []byte) {
	t.Helper()
	word, number, ok := strings.Cut(strings.TrimSpace(string(mark)), " ")
	n, err := strconv.ParseUint(number, 10, 64)
	if !ok || err != nil {
		t.Fatalf("mark %q", mark)
	}
	switch word {
	case "identity":
		p.identity = true
	case "stored":
		p.last = n
	case "committed":
		p.commit = n
	case "term":
		p.term = n
	case "cutting": // from the end: entries up to n stay
		p.last = min(p.last, n)
	case "compacted":
		p.first = n
	case "snapshot":
		p.snapshot = n
	default:
		t.Fatalf("mark %q", mark)
	}
}

// check opens what an outage has left and holds it to the promise.
func (p promise) check(path string) (err error) {
	if _, err := os.Stat(filepath.Join(path, nodeName)); err == nil {
		if _, err := Verify(path); err != nil && !onlySnapshots(err, p.last) {
			return fmt.Errorf("verify: %w", err)
		}
	}
	d, err := Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	_, named := d.Identity()
	first, err1 := d.Log().FirstIndex()
	last, err2 := d.Log().LastIndex()
	commit, err3 := d.Log().GetCommitIndex()
	term, err4 := d.Stable().GetUint64([]byte("CurrentTerm"))
	if errors.Is(err4, ErrKeyNotFound) {
		err4 = nil
	}
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	if p.identity && !named || last < p.last || commit < p.commit || term < p.term || p.first > 0 && first < p.first {
		return fmt.Errorf("identity %v, log %d..%d, commit index %d, term %d; promised %+v", named, first, last, commit, term, p)
	}
	for i := max(first, 1); i <= last; i++ {
		var l raft.Log
		if err := d.Log().GetLog(i, &l); err != nil {
			return err
		}
		if !sameEntry(&l, entry(i, 300)) {
			return fmt.Errorf("entry %d is not what was stored", i)
		}
	}
	return p.checkSnapshots(d)
}

func (p promise) checkSnapshots(d *Dir) error {
	list, err := d.Snapshots().List()
	if err != nil {
		return err
	}
	if p.snapshot > 0 && (len(list) == 0 || list[0].Index < p.snapshot) {
		return fmt.Errorf("%d snapshots, none of entry %d, which was promised", len(list), p.snapshot)
	}
	for _, meta := range list {
		_, r, err := d.Snapshots().Open(meta.ID)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil {
			return err
		}
		if string(text) != snapshotText(meta.Index) {
			return fmt.Errorf("snapshot %s is not what was stored", meta.ID)
		}
	}
	return nil
}

// onlySnapshots tells whether all that Verify found are snapshots that were not finished when the power went off: Open makes do without them.
func onlySnapshots(err error, last uint64) bool {
	all, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return false
	}
	for _, e := range all.Unwrap() {
		var c *CorruptError
		if !errors.As(e, &c) || !strings.Contains(c.Path, snapshotDir) || c.Index > last {
			return false
		}
	}
	return true
}

// recordWork runs the workload in another process on a recorded disk.
func recordWork(t *testing.T, steps int, fault func(string, diskOp) syscall.Errno) (ops []diskOp, output string, failed error) {
	t.Helper()
	r, mount := mountRecorded(t)
	r.fault = fault
	cmd := runChild(t, fmt.Sprintf("work%d", steps), mount)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	failed = cmd.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ops, out.String(), failed
}

// replay has the power go off after each operation of a record, in four ways, and gives the first fault that it finds.
func replay(t *testing.T, ops []diskOp) (cuts int, p promise, fault error) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(3, 4))
	path := filepath.Join(scratch(t), "data")
	m := newDiskModel()
	for i, op := range ops {
		m.apply(op)
		if op.kind == opMark {
			p.read(t, op.data)
			continue
		}
		for o := range outages {
			there := m.write(t, path, "data", o, rnd)
			var err error
			switch {
			case there:
				err = p.check(path)
			case p.identity:
				err = errors.New("the directory is gone")
			}
			if err != nil {
				return cuts, p, fmt.Errorf("outage %d after operation %d of %d (%s): %w", o, i, len(ops), describeOp(op), err)
			}
			cuts++
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	return cuts, p, nil
}

func describeOp(op diskOp) string {
	return fmt.Sprintf("kind %d of inode %d, %d bytes at %d, %s %s", op.kind, op.inode, len(op.data), op.off, op.name, op.to)
}

// TestPowerCuts: no node refuses to start, and nothing that was promised is gone.
func TestPowerCuts(t *testing.T) {
	ops, output, err := recordWork(t, 100, nil)
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	cuts, p, fault := replay(t, ops)
	if fault != nil {
		t.Fatal(fault)
	}
	kinds := map[diskOpKind]int{}
	for _, op := range ops {
		kinds[op.kind]++
	}
	t.Logf("%d operations (%d writes, %d syncs, %d renames), %d outages; at the end %+v", len(ops), kinds[opWrite], kinds[opSync], kinds[opRename], cuts, p)
	if cuts < 4000 || kinds[opSync] < 300 || p.snapshot == 0 || p.first == 0 || p.term == 0 {
		t.Error("the workload has left out much of what it should do")
	}
}

// TestPowerCutsFindAMissingSync: a storage that leaves out one kind of sync is found out.
func TestPowerCutsFindAMissingSync(t *testing.T) {
	ops, output, err := recordWork(t, 20, nil)
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	names := map[int]string{}
	for _, op := range ops {
		if op.kind == opLink {
			names[op.target] = op.name
		}
	}
	for what, of := range map[string]string{"the log": boltName + ".new", "the identity": nodeName + ".new", "a snapshot": snapshotStateFile, "the directory": "data"} {
		var without []diskOp
		for _, op := range ops {
			if op.kind != opSync || names[op.inode] != of {
				without = append(without, op)
			}
		}
		if len(without) == len(ops) {
			t.Errorf("%s is never synced", what)
			continue
		}
		_, _, fault := replay(t, without)
		if fault == nil {
			t.Errorf("without a sync of %s nothing is lost", what)
		}
		t.Logf("without a sync of %s: %.160v", what, fault)
	}
}

// onDisk makes a directory of all that was done, as when only the process has died.
func onDisk(t *testing.T, ops []diskOp) (path string, p promise) {
	t.Helper()
	m := newDiskModel()
	for _, op := range ops {
		m.apply(op)
		if op.kind == opMark {
			p.read(t, op.data)
		}
	}
	path = filepath.Join(scratch(t), "data")
	m.write(t, path, "data", losesNothing, rand.New(rand.NewPCG(5, 6)))
	return path, p
}

// TestEachSyncFails: the process stops writing at once, for good, says so, and nothing that it was promised is gone.
func TestEachSyncFails(t *testing.T) {
	tried := 0
	for n := 1; ; n += 3 {
		syncs, failed, after := 0, -1, 0
		ops, output, err := recordWork(t, 12, func(name string, op diskOp) syscall.Errno {
			if failed >= 0 && op.kind != opMark && (op.kind == opSync || op.kind == opWrite) {
				after++
			}
			if op.kind != opSync {
				return 0
			}
			if syncs++; syncs == n {
				failed = op.inode
				return syscall.EIO
			}
			return 0
		})
		if failed < 0 {
			if err != nil {
				t.Fatalf("without a fault: %v: %s", err, output)
			}
			break
		}
		if err == nil || !strings.Contains(output, "input/output error") {
			t.Fatalf("sync %d failed, and the process went on: %v: %s", n, err, output)
		}
		if after > 0 {
			t.Fatalf("%d writes and syncs after sync %d had failed: %s", after, n, output)
		}
		if path, p := onDisk(t, ops); p.identity {
			if err := p.check(path); err != nil {
				t.Fatalf("sync %d failed: %v", n, err)
			}
		}
		tried++
	}
	t.Logf("%d of the syncs have failed", tried)
	if tried < 20 {
		t.Error("too few to mean anything")
	}
}

// TestEachWriteFindsNoRoom, and some after it; then there is room again. Nothing is lost, and the same process goes on.
func TestEachWriteFindsNoRoom(t *testing.T) {
	tried := 0
	for n := 1; ; n += 5 {
		writes, full := 0, 0
		ops, output, err := recordWork(t, 12, func(name string, op diskOp) syscall.Errno {
			growth := op.kind == opWrite || op.kind == opTruncate && op.off > 0
			if !growth || name != boltName && name != snapshotStateFile {
				return 0
			}
			if writes++; writes >= n && writes < n+1+n%7 {
				full++
				return syscall.ENOSPC
			}
			return 0
		})
		if err != nil {
			t.Fatalf("write %d found no room: %v: %s", n, err, output)
		}
		if full == 0 {
			break
		}
		path, p := onDisk(t, ops)
		if err := p.check(path); err != nil {
			t.Fatalf("write %d found no room: %v", n, err)
		}
		tried++
	}
	t.Logf("%d times without room", tried)
	if tried < 10 {
		t.Error("too few to mean anything")
	}
}
