package sim

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/storage"
	"github.com/holdfast-lb/holdfast/vip"
)

const a, b = "10.0.0.1:7701", "10.0.0.2:7701"

// joined gives two hosts and a connection between them.
func joined(t *testing.T) (n *network, near, far net.Conn) {
	t.Helper()
	n = newNetwork(1, newTrace(nil))
	from := &host{net: n, addr: a, dead: make(chan struct{})}
	l, err := (&host{net: n, addr: b, dead: make(chan struct{})}).Listen(b)
	if err != nil {
		t.Fatal(err)
	}
	if near, err = from.Dial(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return n, near, far
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

func wantRead(t *testing.T, c net.Conn, text string) {
	t.Helper()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
		t.Fatalf("read %q, %v; want %q", got, err, text)
	}
}

// TestNetworkKeepsOrderOverACut: what is sent into a cut comes when it is mended, in its order, and nothing comes before.
func TestNetworkKeepsOrderOverACut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, near, far := joined(t)
		for _, text := range []string{"one ", "two ", "three "} {
			send(t, near, text)
		}
		wantRead(t, far, "one two three ")
		n.cut(way{a, b})
		send(t, near, "four ")
		send(t, near, "five ")
		_ = far.SetReadDeadline(time.Now().Add(10 * time.Second))
		if got, err := far.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%d bytes came through a cut, %v", got, err)
		}
		_ = far.SetReadDeadline(time.Time{})
		send(t, far, "back")
		wantRead(t, near, "back") // the cut is of one direction
		n.mend(way{a, b})
		wantRead(t, far, "four five ")
		_ = near.Close()
		if _, err := far.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after the other end has closed: %v", err)
		}
		_ = far.Close()
	})
}

// TestNetworkGivesUp: a connection through which nothing has come for as long as a kernel waits ends at both ends.
func TestNetworkGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, near, far := joined(t)
		n.cut(way{a, b})
		send(t, near, "lost")
		began := time.Now()
		if _, err := far.Read(make([]byte, 1)); !errors.Is(err, errGone) {
			t.Errorf("read: %v", err)
		}
		if took := time.Since(began); took < deaf || took > deaf+time.Second {
			t.Errorf("given up after %v, not %v", took, deaf)
		}
		if _, err := near.Write([]byte("x")); !errors.Is(err, errGone) {
			t.Errorf("write: %v", err)
		}
		_, _ = near.Close(), far.Close()
	})
}

// TestNetworkTellsADeadProcessFromADeadMachine: a process that is killed resets its connections and refuses new ones once its guard has let the port go; of a machine
// without power nothing is heard.
func TestNetworkTellsADeadProcessFromADeadMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, near, _ := joined(t)
		n.kill(b)
		if _, err := near.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the process is dead: %v", err)
		}
		from := &host{net: n, addr: a, dead: make(chan struct{})}
		if c, err := from.Dial(t.Context(), b); err != nil {
			t.Errorf("the guard has the port, and it is refused: %v", err)
		} else {
			_ = c.Close()
		}
		n.closePort(b)
		if _, err := from.Dial(t.Context(), b); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("the port is closed: %v", err)
		}
		n.change(func() { n.off[b] = true })
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := from.Dial(ctx, b); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the machine is off: %v", err)
		}
		_ = near.Close()
	})
}

// TestDiskLosesWhatWasUnderWay: what a write has returned for is there after a crash; what was under way is there whole or not at all.
func TestDiskLosesWhatWasUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := 0
		for seed := range uint64(40) {
			d := newDisk(seed, "n1", "")
			h := d.open()
			entry := func(i uint64) *raft.Log { return &raft.Log{Index: i, Term: 1, Data: []byte{byte(i)}} }
			if err := h.Log().StoreLogs([]*raft.Log{entry(1), entry(2)}); err != nil {
				t.Fatal(err)
			}
			done := make(chan error)
			go func() { done <- h.Log().StoreLogs([]*raft.Log{entry(3), entry(4)}) }()
			synctest.Wait()
			h.die()
			if err := <-done; err != nil {
				t.Fatalf("a dead process heard of its write: %v", err)
			}
			after := d.open()
			last, _ := after.Log().LastIndex()
			if last != 2 && last != 4 {
				t.Fatalf("seed %d: the log ends at %d: a write was torn", seed, last)
			}
			if last == 4 {
				kept++
			}
			// What the dead process writes goes nowhere.
			if err := h.Stable().SetUint64([]byte("CurrentTerm"), 9); err != nil {
				t.Fatal(err)
			}
			if _, err := after.Stable().GetUint64([]byte("CurrentTerm")); !errors.Is(err, storage.ErrKeyNotFound) {
				t.Fatalf("a dead process has written: %v", err)
			}
		}
		if kept == 0 || kept == 40 {
			t.Errorf("%d of 40 writes under way were kept: both must be tried", kept)
		}
	})
}

// TestDiskFailsForGood: after a failed fsync nothing is written any more, whether that write was done or not.
func TestDiskFailsForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(1, "n1", "")
		h := d.open()
		d.breaks = true
		for range 2 {
			var fatal *storage.FatalError
			if err := h.Log().StoreLog(&raft.Log{Index: 1, Term: 1}); !errors.As(err, &fatal) {
				t.Fatalf("write: %v", err)
			}
		}
		if err := d.open().Stable().SetUint64([]byte("CurrentTerm"), 1); err != nil {
			t.Errorf("the next process: %v", err)
		}
	})
}

// TestHistoryFindsWhatIsWrong: each judgement has a history that it refuses.
func TestHistoryFindsWhatIsWrong(t *testing.T) {
	key := [16]byte{1}
	for name, breaks := range map[string]func(h *history){
		"an acknowledged assignment is gone": func(h *history) {
			h.claim(key, 1, false)
			h.assigned("c", key, 1)
			h.saw("r", key, h.floor(key), 0, false)
		},
		"an acknowledged move is undone": func(h *history) {
			h.claim(key, 1, false)
			h.assigned("c", key, 1)
			h.claim(key, 2, false)
			h.assigned("c", key, 2)
			h.saw("r", key, h.floor(key), 1, true)
		},
		"two clients are told different instances": func(h *history) {
			h.claim(key, 1, true)
			h.claim(key, 2, true)
			h.assigned("c", key, 1)
			h.assigned("d", key, 2)
		},
		"a read goes back": func(h *history) {
			h.begin("m")
			h.revision("c", 0, 2, "m", true)
			h.revision("r", h.begin(""), 1, "m", false)
		},
		"one revision is given out twice": func(h *history) {
			h.begin("m")
			h.begin("o")
			h.revision("c", 0, 1, "m", true)
			h.revision("d", 0, 1, "o", true)
		},
		"a write is not behind the last": func(h *history) {
			h.begin("m")
			h.revision("c", 0, 1, "m", true)
			f := h.begin("o")
			h.revision("d", f, 1, "m", true)
		},
		"what was refused is there":       func(h *history) { h.begin("m"); h.ended("m", refused); h.revision("r", 0, 1, "m", false) },
		"nobody has written what is read": func(h *history) { h.revision("r", 0, 1, "m", false) },
	} {
		synctest.Test(t, func(t *testing.T) {
			w := &world{trace: newTrace(nil)}
			h := newHistory(w)
			if breaks(h); len(w.failures()) == 0 {
				t.Errorf("%s: nothing is said", name)
			}
		})
	}
}

// TestTwoHoldersAreFound: until the first one's deadline, and not after it.
func TestTwoHoldersAreFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{trace: newTrace(nil)}
		h := &holders{w: w, until: map[string]vip.Deadline{}}
		h.hold("n1", vip.Deadline(w.bootTime())+vip.Deadline(time.Second))
		time.Sleep(time.Second)
		h.hold("n2", vip.Deadline(w.bootTime())+vip.Deadline(time.Second))
		if got := w.failures(); len(got) != 0 {
			t.Errorf("one after the other: %v", got)
		}
		time.Sleep(time.Second - 1)
		if h.hold("n1", vip.Deadline(w.bootTime())+1); len(w.failures()) != 1 {
			t.Errorf("a nanosecond too early: %v", w.failures())
		}
	})
}
