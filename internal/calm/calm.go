// Package calm has tests judge times only of a process that runs: a machine that is shared with others stops it now and then, and what comes too late
// then says nothing of what is tested. Nothing of it is for use outside of tests.
package calm

import (
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

// tries is how often a trial is run at most.
const tries = 20

// now is another clock in this package's own test.
var now = time.Now

// Try runs a trial whose times are judged. What it has to say with t.Error or t.Errorf while this process stood still for longer than most is void: the trial is run
// again. From the 20th time on it counts as it is. A trial makes what it needs anew and gives it to its own t, whose Cleanup runs at the trial's end. t.Fatal
// and t.Fatalf are not tried again: they are for helpers that have waited for long.
func Try(t testing.TB, most time.Duration, trial func(t testing.TB)) {
	t.Helper()
	for n := 1; ; n++ {
		wrong, stall := once(t, trial)
		if len(wrong) == 0 {
			return
		}
		if stall <= most || n == tries {
			for _, text := range wrong {
				t.Error(text)
			}
			return
		}
		t.Logf("void, for this process stood still for %v: %q", stall, wrong)
	}
}

func once(t testing.TB, trial func(t testing.TB)) (wrong []string, stall time.Duration) {
	s := &scope{TB: t}
	worst := Watch(s)
	ended := false
	defer func() {
		if s.end(); !ended { // t.Fatal ends the goroutine: nobody hears what is given here
			for _, text := range s.wrong {
				t.Error(text)
			}
		}
		wrong, stall = s.wrong, worst()
	}()
	trial(s)
	ended = true
	return nil, 0
}

// scope is the t of one trial.
type scope struct {
	testing.TB
	mu       sync.Mutex
	wrong    []string
	cleanups []func()
}

func (s *scope) Error(args ...any) { s.note(fmt.Sprintln(args...)) }

func (s *scope) Errorf(format string, args ...any) { s.note(fmt.Sprintf(format, args...) + "\n") }

// note keeps a text that ends with a line feed, and who has called its caller.
func (s *scope) note(text string) {
	if _, file, line, ok := runtime.Caller(2); ok {
		text = fmt.Sprintf("%s:%d: %s", filepath.Base(file), line, text)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = append(s.wrong, text[:len(text)-1])
}

// Failed tells whether the trial has something to say.
func (s *scope) Failed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.wrong) > 0 || s.TB.Failed()
}

func (s *scope) Cleanup(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cleanups = append(s.cleanups, f)
}

func (s *scope) end() {
	for {
		s.mu.Lock()
		n := len(s.cleanups) - 1
		if n < 0 {
			s.mu.Unlock()
			return
		}
		f := s.cleanups[n]
		s.cleanups = s.cleanups[:n]
		s.mu.Unlock()
		f()
	}
}

// Watch notes how long this process stands still. What it gives tells the longest time since then, or since the test's end, and may be called by any goroutine.
func Watch(t testing.TB) (worst func() time.Duration) {
	var mu sync.Mutex
	var most time.Duration
	last := now()
	look := func() time.Duration { // who asks may run before the watch does, after a stall
		mu.Lock()
		defer mu.Unlock()
		at := now()
		most, last = max(most, at.Sub(last)), at
		return most
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() {
		close(stop)
		<-stopped
	})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				look()
			case <-stop:
				return
			}
		}
	}()
	return look
}
