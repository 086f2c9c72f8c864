package watch

import (
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Stalls notes when the machine that everything runs on let a thread wait that only wanted to run for a moment each millisecond: what was measured then says more about
// the machine than about what was to be measured.
type Stalls struct {
	stop, done chan struct{}
	mu         sync.Mutex
	all        []stall
}

type stall struct {
	end  time.Time
	late time.Duration
}

// shortStall is not worth a note.
const shortStall = 5 * time.Millisecond

// NoteStalls begins.
func NoteStalls() *Stalls {
	s := &Stalls{stop: make(chan struct{}), done: make(chan struct{})}
	go s.run()
	return s
}

func (s *Stalls) run() {
	defer close(s.done)
	runtime.LockOSThread() // a thread of its own that sleeps in the kernel: what it waits for is the machine, not this program's scheduler
	defer runtime.UnlockOSThread()
	const step = time.Millisecond
	last := time.Now()
	for {
		select {
		case <-s.stop:
			return
		default:
		}
		_ = unix.Nanosleep(&unix.Timespec{Nsec: int64(step)}, nil)
		now := time.Now()
		if late := now.Sub(last) - step; late > shortStall {
			s.mu.Lock()
			s.all = append(s.all, stall{now, late})
			s.mu.Unlock()
		}
		last = now
	}
}

// Worst is the longest stall that ended between from and to; 0: none of more than 5 ms.
func (s *Stalls) Worst(from, to time.Time) (worst time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.all {
		if !one.end.Before(from) && !one.end.After(to) {
			worst = max(worst, one.late)
		}
	}
	return worst
}

// Stop ends it.
func (s *Stalls) Stop() {
	close(s.stop)
	<-s.done
}
