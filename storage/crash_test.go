package storage

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// childEnv names the role and the directory of a child process: the test binary runs itself.
const childEnv = "HOLDFAST_STORAGE_TEST_CHILD"

func TestMain(m *testing.M) {
	if role, dir, ok := strings.Cut(os.Getenv(childEnv), ":"); ok {
		if err := child(role, dir); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child writes until it is killed and prints what it was promised, or only opens.
func child(role, dir string) error {
	if steps, ok := strings.CutPrefix(role, "work"); ok {
		n, err := strconv.Atoi(steps)
		if err != nil {
			return err
		}
		return workload(filepath.Join(dir, "data"), filepath.Join(dir, "marks"), n)
	}
	d, err := Open(dir)
	if err != nil {
		return err
	}
	if role == "open" {
		return d.Close()
	}
	if err := d.SetIdentity(testIdentity); err != nil {
		return err
	}
	log := d.Log()
	for {
		last, err := log.LastIndex()
		if err != nil {
			return err
		}
		n := 1 + rand.Uint64N(40)
		if err := log.StageCommitIndex(last); err != nil {
			return err
		}
		if err := log.StoreLogs(entries(last+1, last+n, 100)); err != nil {
			return err
		}
		fmt.Println("stored", last+n, last)
		switch rand.IntN(6) {
		case 0:
			if err := d.Stable().SetUint64([]byte("CurrentTerm"), last+n); err != nil {
				return err
			}
			fmt.Println("term", last+n, 0)
		case 1:
			if last > 300 {
				sink, err := d.Snapshots().Create(1, last, 1, raft.Configuration{}, 1, nopTransport())
				if err != nil {
					return err
				}
				if _, err := fmt.Fprint(sink, last); err != nil {
					return err
				}
				if err := sink.Close(); err != nil {
					return err
				}
				if err := log.DeleteRange(1, last-10); err != nil {
					return err
				}
				fmt.Println("compacted", last-10, 0)
			}
		}
	}
}

func nopTransport() raft.Transport {
	_, t := raft.NewInmemTransport("127.0.0.1:1")
	return t
}

func runChild(t testing.TB, role, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+role+":"+dir)
	return cmd
}

// TestKilled kills a process in the middle of its writes, many times on the same directory. All that it was promised is
// there each time, and the directory opens.
func TestKilled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	var last, commit, term, compacted uint64
	for round := range 25 {
		cmd := runChild(t, "write", dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		lines, armed := bufio.NewScanner(out), false
		for lines.Scan() {
			f := strings.Fields(lines.Text())
			if len(f) != 3 {
				t.Fatalf("child says: %s", lines.Text())
			}
			a, err1 := strconv.ParseUint(f[1], 10, 64)
			b, err2 := strconv.ParseUint(f[2], 10, 64)
			if err := errors.Join(err1, err2); err != nil {
				t.Fatalf("child says: %s", lines.Text())
			}
			switch f[0] {
			case "stored":
				if last, commit = a, b; !armed { // the clock runs from its first answer
					armed = timer.Reset(time.Duration(rand.IntN(120)) * time.Millisecond)
				}
			case "term":
				term = a
			case "compacted":
				compacted = a
			}
		}
		_ = cmd.Wait() // it was killed
		timer.Stop()
		if _, err := Verify(dir); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		d := mustOpen(t, dir)
		first, _ := d.Log().FirstIndex()
		have, _ := d.Log().LastIndex()
		c, _ := d.Log().GetCommitIndex()
		got, err := d.Stable().GetUint64([]byte("CurrentTerm"))
		if have < last || c < commit || first <= compacted || term > 0 && (err != nil || got < term) {
			t.Fatalf("round %d: log %d..%d, commit index %d, term %d (%v); promised: to %d, %d, %d, deleted to %d",
				round, first, have, c, got, err, last, commit, term, compacted)
		}
		wantEntries(t, d.Log(), first, have, 100)
		mustClose(t, d)
	}
	if last == 0 {
		t.Error("the child never stored anything")
	}
	t.Logf("last index %d, term %d, compacted to %d", last, term, compacted)
}

// TestLocked opens a directory twice: in this process and from another one.
func TestLocked(t *testing.T) {
	d := newDir(t)
	store(t, d.Log(), entries(1, 3, 10)...)
	want := fmt.Sprintf("process %d", os.Getpid())
	for what, f := range map[string]func() error{
		"open":   func() error { _, err := Open(d.Path()); return err },
		"verify": func() error { _, err := Verify(d.Path()); return err },
	} {
		err := f()
		var locked *LockedError
		if !errors.As(err, &locked) || locked.PID != os.Getpid() || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	out, err := runChild(t, "open", d.Path()).CombinedOutput()
	if err == nil || !strings.Contains(string(out), want) {
		t.Errorf("other process: %v: %s", err, out)
	}
	store(t, d.Log(), entry(4, 10))
	mustClose(t, d)
	if out, err := runChild(t, "open", d.Path()).CombinedOutput(); err != nil {
		t.Errorf("other process after Close: %v: %s", err, out)
	}
	// While it is verified it cannot be opened either.
	lock, err := lockShared(filepath.Join(d.Path(), lockName))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(d.Path()); err == nil {
		t.Error("opened during a verify")
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	wantEntries(t, mustOpen(t, d.Path()).Log(), 1, 4, 10)
}
