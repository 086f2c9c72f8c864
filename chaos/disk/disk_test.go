package disk

import (
	"bytes"
	"errors"
	"math/rand/v2"
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

// TestPowerCut: what was synced is there, of what was not some oldest part and no more, in whole sectors; lengths, too. Without power nothing is written, and with it again everything is.
func TestPowerCut(t *testing.T) {
	if Missing() != nil {
		return // TestDisk says what a machine lacks
	}
	for seed := range uint64(12) {
		random := rand.New(rand.NewPCG(seed, 0))
		dir := t.TempDir()
		d, err := Mount(dir, "n1")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(d.Path, "log")
		// A user of its own, which ends: in this process, which is the disk, a system call could wait for itself.
		sh := func(script string, want bool) {
			t.Helper()
			if out, err := exec.Command("sh", "-c", "cd "+d.Path+" && "+script).CombinedOutput(); (err == nil) != want {
				t.Errorf("%s: %v, %s", script, err, out)
			}
		}
		sh("head -c 4096 /dev/zero | tr '\\0' a | dd of=log bs=4096 conv=fsync", true)
		if _, err := d.PowerCut(random); err != nil {
			t.Fatal(err)
		}
		sh("echo x >>log", false)
		d.PowerOn()
		sh("head -c 8192 /dev/zero | tr '\\0' b | dd of=log bs=2048 seek=1 conv=notrunc", true) // four writes, the first of which replaces something
		if lost, err := d.PowerCut(random); err != nil || lost > 4 {
			t.Errorf("seed %d: %d writes are lost, %v", seed, lost, err)
		}
		d.PowerOn()
		got, err := exec.Command("cat", path).Output()
		if err != nil {
			t.Fatal(err)
		}
		n := bytes.Count(got, []byte("b"))
		want := append(bytes.Repeat([]byte("a"), 2048), bytes.Repeat([]byte("b"), n)...)
		if missing := 4096 - len(want); missing > 0 {
			want = append(want, bytes.Repeat([]byte("a"), missing)...)
		}
		if n%sector != 0 || !bytes.Equal(got, want) {
			t.Errorf("seed %d: %d bytes, of which %d are new", seed, len(got), n)
		}
		sh("truncate -s 100 log", true)
		if _, err := d.PowerCut(rand.New(rand.NewPCG(1, 1))); err != nil {
			t.Fatal(err)
		}
		d.PowerOn()
		if after, err := exec.Command("cat", path).Output(); err != nil || !bytes.Equal(after, got) && !bytes.Equal(after, got[:100]) {
			t.Errorf("seed %d: a file that was cut has %d bytes, %v", seed, len(after), err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
