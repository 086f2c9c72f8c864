//go:build fuse

package storage

import (
	"bufio"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/ext4"
)

// newExt4 is a file system of its own on a loop device.
func newExt4(t *testing.T) *ext4.Disk {
	t.Helper()
	e, err := ext4.New(scratch(t), "hfG3", 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Detach(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// TestRealPowerCuts runs a process that writes, stops its file system as a power cut does, and mounts it again, 200 times over on the same directory.
func TestRealPowerCuts(t *testing.T) {
	e := newExt4(t)
	dir := filepath.Join(e.Mount, "data")
	var p promise
	stopped := 0
	for round := range 200 {
		cmd := runChild(t, "write", dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		lines, off := bufio.NewScanner(out), make(chan struct{})
		armed := false
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "error: ") {
				stopped++ // the disk said no, and the process has believed it
				continue
			}
			p.line(t, lines.Text())
			if !armed {
				armed = true
				time.AfterFunc(time.Duration(rand.IntN(40))*time.Millisecond, func() {
					defer close(off)
					if err := e.PowerOff(); err != nil {
						t.Errorf("shut ext4 down: %v", err)
					}
					_ = cmd.Process.Kill()
				})
			}
		}
		_ = cmd.Wait() // it was killed
		timer.Stop()
		if !armed {
			t.Fatalf("round %d: the process has stored nothing", round)
		}
		<-off
		if err := errors.Join(e.Detach(), e.Attach()); err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(dir); err != nil && !onlySnapshots(err, p.last) {
			t.Fatalf("round %d: verify: %v", round, err)
		}
		d := mustOpen(t, dir)
		first, _ := d.Log().FirstIndex()
		last, _ := d.Log().LastIndex()
		commit, _ := d.Log().GetCommitIndex()
		term, _ := d.Stable().GetUint64([]byte("CurrentTerm"))
		if last < p.last || commit < p.commit || term < p.term || first < p.first {
			t.Fatalf("round %d: log %d..%d, commit index %d, term %d; promised %+v", round, first, last, commit, term, p)
		}
		wantEntries(t, d.Log(), first, last, 100)
		mustClose(t, d)
	}
	t.Logf("200 power cuts; in %d of them the process was still there to find out; at the end %+v", stopped, p)
	if p.last == 0 || p.first == 0 || p.term == 0 {
		t.Error("the process has left out much of what it should do")
	}
}

// line takes what the process says that writes until it is killed.
func (p *promise) line(t *testing.T, text string) {
	t.Helper()
	f := strings.Fields(text)
	if len(f) != 3 {
		t.Fatalf("the process says: %s", text)
	}
	a, err1 := strconv.ParseUint(f[1], 10, 64)
	b, err2 := strconv.ParseUint(f[2], 10, 64)
	if err1 != nil || err2 != nil {
		t.Fatalf("the process says: %s", text)
	}
	switch f[0] {
	case "stored":
		p.last, p.commit = a, b
	case "term":
		p.term = a
	case "compacted":
		p.first = a + 1
	}
}

// TestRealFullDisk fills the file system until a write is refused, and makes room: nothing is lost, and the same process goes on.
func TestRealFullDisk(t *testing.T) {
	e := newExt4(t)
	d := mustOpen(t, filepath.Join(e.Mount, "data"))
	defer func() { mustClose(t, d) }() // before the file system goes
	if err := d.SetIdentity(testIdentity); err != nil {
		t.Fatal(err)
	}
	store(t, d.Log(), entries(1, 10, 300)...)
	before, err := d.Space()
	if err != nil || before.Free == 0 || before.Total < 32<<20 || before.Reserve != before.Total/10 {
		t.Fatalf("room: %+v, %v", before, err)
	}
	ballast := filepath.Join(e.Mount, "ballast")
	for round := range 5 {
		full := fill(t, ballast)
		last, _ := d.Log().LastIndex()
		refused := 0
		for range 400 { // what was written before has room of its own in the file
			err := d.Log().StoreLogs(entries(last+1, last+20, 300))
			if err == nil {
				last += 20
				continue
			}
			if refused++; !isNoSpaceError(err) {
				t.Fatalf("round %d: %v", round, err)
			}
			if refused > 3 {
				break
			}
		}
		if now, err := d.Space(); err != nil || now.Free >= before.Free {
			t.Errorf("room on a full disk: %+v, %v", now, err)
		}
		if refused == 0 || d.log.Failed() != nil {
			t.Fatalf("round %d: %d writes refused on %d bytes, %v", round, refused, full, d.log.Failed())
		}
		wantEntries(t, d.Log(), 1, last, 300)
		remove(t, ballast)
		store(t, d.Log(), entries(last+1, last+5, 300)...)
	}
}

func isNoSpaceError(err error) bool { return strings.Contains(err.Error(), ErrNoSpace.Error()) }

// fill writes a file until there is no room.
func fill(t *testing.T, path string) (size int64) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for block := make([]byte, 1<<20); len(block) > 0; {
		n, err := f.Write(block)
		size += int64(n)
		if err != nil {
			if !strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
				t.Fatal(err)
			}
			block = block[:len(block)/2]
		}
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	return size
}
