package disk

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The users of a disk are other processes: here, the shell.
func write(d *Disk, name string) error {
	out, err := exec.Command("dd", "if=/dev/zero", "of="+filepath.Join(d.Path, name), "bs=4096", "count=2", "conv=fsync").CombinedOutput()
	if err != nil {
		return errors.New(strings.TrimSpace(string(out)))
	}
	return nil
}

// TestDisk: everything arrives on a disk that nothing happens to; then each fault does what it says, and is over when it is taken away. Where there can be no such disk, that is said.
func TestDisk(t *testing.T) {
	dir := t.TempDir()
	if missing := Missing(); missing != nil {
		if !strings.Contains(missing.Error(), "needs ") {
			t.Errorf("%v", missing)
		}
		return // what a machine lacks is what this test can show there
	}
	d, err := Mount(dir, "n1")
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	defer func() {
		if !closed {
			_ = d.Close()
		}
	}()
	ok := func(name string) {
		t.Helper()
		if err := write(d, name); err != nil {
			t.Fatal(err)
		}
	}
	ok("before")
	if info, err := os.Stat(filepath.Join(dir, "n1.below", "before")); err != nil || info.Size() != 8192 {
		t.Errorf("%v", err)
	}

	d.Set(Fault{Full: true})
	if err := write(d, "full"); err == nil || !strings.Contains(err.Error(), "No space left") {
		t.Errorf("full: %v", err)
	}
	if out, err := exec.Command("dd", "if=/dev/zero", "of="+filepath.Join(d.Path, "before"), "bs=4096", "count=1", "seek=1", "conv=fsync,notrunc").CombinedOutput(); err != nil {
		t.Errorf("bytes that replace others: %s", out)
	}
	if err := exec.Command("dd", "if=/dev/zero", "of="+filepath.Join(d.Path, "before"), "bs=4096", "count=2", "seek=1", "conv=fsync,notrunc").Run(); err == nil {
		t.Error("bytes behind the end were written")
	}
	d.Set(Fault{})
	ok("room")

	d.Set(Fault{FailSyncs: 1})
	if err := write(d, "sync"); err == nil || !strings.Contains(err.Error(), "Input/output error") || d.Failed() != 1 {
		t.Errorf("sync: %v", err)
	}
	ok("sync")

	d.Set(Fault{SyncDelay: 150 * time.Millisecond})
	began := time.Now()
	if ok("slow"); time.Since(began) < 150*time.Millisecond {
		t.Errorf("slow: took %v", time.Since(began))
	}

	d.Set(Fault{Hang: true})
	done := make(chan error, 1)
	go func() { done <- write(d, "hung") }()
	for deadline := time.Now().Add(10 * time.Second); d.Held() == 0 && time.Now().Before(deadline); {
		select {
		case err := <-done:
			t.Fatalf("a disk that hangs was written: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
	d.Set(Fault{})
	if err := <-done; err != nil {
		t.Errorf("after the hang: %v", err)
	}

	if err := exec.Command("flock", "-n", filepath.Join(d.Path, "lock"), "true").Run(); err != nil {
		t.Errorf("a lock: %v", err)
	}
	closed = true
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	var a, b syscall.Stat_t
	if err := errors.Join(syscall.Stat(d.Path, &a), syscall.Stat(dir, &b)); err != nil || a.Dev != b.Dev {
		t.Errorf("it is still mounted: %v", err)
	}
}
