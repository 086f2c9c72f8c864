package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/migrate"
	"github.com/holdfast-lb/holdfast/migrate/build"
	"github.com/holdfast-lb/holdfast/migrate/sun"
)

// watched is a watch over a real file with what it did.
type watched struct {
	t       *testing.T
	file    string
	watch   migrate.Watch
	mu      sync.Mutex // for the rest: timers of the bubble order nothing
	applied []string   // the names and weights of all instances
	events  []string
	fail    error
	err     error
	end     context.CancelFunc
	done    chan struct{}
}

func startWatch(t *testing.T, text string, interval time.Duration) *watched {
	w := &watched{t: t, file: filepath.Join(t.TempDir(), "loadbalancer.xml"), done: make(chan struct{})}
	if text != "" {
		w.write(text)
	}
	w.watch = migrate.Watch{
		Interval: interval,
		Read: func() ([][]byte, error) {
			data, err := os.ReadFile(w.file)
			return [][]byte{data}, err
		},
		Import: func(files [][]byte) *build.Result { return sun.Import(files[0], sun.Options{File: "f"}) },
		Apply: func(_ context.Context, last, next *config.Config) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.fail != nil {
				return w.fail
			}
			w.applied = append(w.applied, instances(next))
			return nil
		},
		Tell:   func(format string, args ...any) { w.event(fmt.Sprintf(format, args...)) },
		Faulty: func(res *build.Result) { w.event("faulty " + res.Report.Summary()) },
	}
	ctx, cancel := context.WithCancel(t.Context())
	w.end = cancel
	go func() {
		defer close(w.done)
		w.err = w.watch.Run(ctx)
	}()
	synctest.Wait()
	return w
}

func (w *watched) event(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, text)
}

func (w *watched) failWith(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail = err
}

func instances(c *config.Config) string {
	var words []string
	for _, k := range c.Clusters {
		for _, in := range k.Instances {
			words = append(words, fmt.Sprintf("%s=%v", in.Name, in.Enabled))
		}
	}
	return strings.Join(words, " ")
}

func (w *watched) write(text string) {
	w.t.Helper()
	if err := os.WriteFile(w.file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *watched) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (w *watched) want(applied, events int) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.applied) != applied || len(w.events) != events {
		w.t.Fatalf("applied %q, events %q; want %d and %d", w.applied, w.events, applied, events)
	}
}

func lbFile(enabled, poll string) string {
	return `<loadbalancer><cluster name="c"><instance name="i" listeners="http://h:1" enabled="` + enabled + `"/></cluster>
<property name="reload-poll-interval-in-seconds" value="` + poll + `"/></loadbalancer>`
}

// A file that is being written counts when nobody has written to it for a moment, whatever its first half would mean.
func TestWatchWaitsForTheWriter(t *testing.T) { // SUN-54
	synctest.Test(t, func(t *testing.T) {
		w := startWatch(t, lbFile("true", "20"), 0)
		w.pass(19 * time.Second)
		for i := range 20 { // the look at 20 s, and those after it, find a new text each time
			w.write(strings.Replace(lbFile("false", "20"), "http://h:1", fmt.Sprint("http://h:", i+1), 1))
			w.pass(200 * time.Millisecond)
		}
		w.write(lbFile("true", "30"))
		w.pass(time.Second)
		w.want(2, 0)
		w.mu.Lock()
		if !slices.Equal(w.applied, []string{"i=true", "i=true"}) {
			t.Errorf("applied %q: what was there while somebody wrote has been taken", w.applied)
		}
		w.mu.Unlock()
		w.end()
		<-w.done
	})
}

func TestWatchTakesEffectAtTheNextPoll(t *testing.T) { // SUN-25, SUN-54, SUN-62, SUN-53
	synctest.Test(t, func(t *testing.T) {
		w := startWatch(t, lbFile("true", "20"), 0)
		w.want(1, 0)
		w.write(lbFile("false", "20"))
		w.pass(19 * time.Second)
		w.want(1, 0)
		w.pass(2 * time.Second)
		w.want(2, 0)
		w.mu.Lock()
		if !slices.Equal(w.applied, []string{"i=true", "i=false"}) {
			t.Errorf("applied %q", w.applied)
		}
		w.mu.Unlock()
		// A new time stamp alone is no change.
		w.write(lbFile("false", "20"))
		w.pass(time.Minute)
		w.want(2, 0)
		// The interval is the file's own, also when it changes.
		w.write(lbFile("true", "300"))
		w.pass(20 * time.Second)
		w.want(3, 0)
		w.write(lbFile("false", "300"))
		w.pass(290 * time.Second)
		w.want(3, 0)
		w.pass(20 * time.Second)
		w.want(4, 0)
		w.end()
		<-w.done
		if w.err != nil {
			t.Error(w.err)
		}
	})
}

func TestWatchKeepsTheLastGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWatch(t, lbFile("true", "20"), 10*time.Second)
		w.want(1, 0)
		w.write("<loadbalancer><cluster") // half written
		w.pass(time.Minute)
		w.want(1, 1) // reported once
		w.write(lbFile("maybe", "20"))
		w.pass(time.Minute)
		w.want(1, 2)
		if err := os.Remove(w.file); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		w.want(1, 3)
		// It comes back by way of a rename, as editors do it.
		beside := w.file + ".new"
		if err := os.WriteFile(beside, []byte(lbFile("false", "20")), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(beside, w.file); err != nil {
			t.Fatal(err)
		}
		w.pass(10 * time.Second)
		w.want(2, 3)
		// The group cannot be reached for a while.
		w.failWith(errors.New("no node answers"))
		w.write(lbFile("true", "20"))
		w.pass(time.Minute)
		w.want(2, 4)
		w.failWith(nil)
		w.pass(10 * time.Second)
		w.want(3, 4)
		w.end()
		<-w.done
		if w.err != nil {
			t.Error(w.err)
		}
	})
}

func TestWatchWithoutAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWatch(t, lbFile("true", "0"), 0)
		<-w.done
		if !errors.Is(w.err, migrate.ErrNoInterval) || !strings.Contains(w.err.Error(), "--interval") {
			t.Errorf("error %v", w.err)
		}
		w.want(0, 0)
		// With --interval it is watched all the same.
		w = startWatch(t, lbFile("true", "0"), 5*time.Second)
		w.write(lbFile("false", "0"))
		w.pass(6 * time.Second)
		w.want(2, 0)
		w.end()
		<-w.done
		// A file that turns reloading off later ends the watch, once that change is applied.
		w = startWatch(t, lbFile("true", "20"), 0)
		w.write(lbFile("false", "0"))
		w.pass(20 * time.Second)
		<-w.done
		if w.want(2, 1); w.err != nil {
			t.Error(w.err)
		}
	})
}
