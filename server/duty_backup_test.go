package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-lb/holdfast/fsm"
)

// backupStage is a group whose nodes make backups that take a while; made lists who made which at what time.
type backupStage struct {
	*fakeGroup
	mu     sync.Mutex
	start  time.Time
	took   time.Duration
	makers map[string]*backupMaker
	fail   map[string]error // by node
	silent map[string]bool
	made   []string
	ids    int
}

func newBackupStage(t *testing.T, with ...string) *backupStage {
	s := &backupStage{fakeGroup: newFakeGroup(), start: time.Now(), took: 5 * time.Second, makers: map[string]*backupMaker{}, fail: map[string]error{}, silent: map[string]bool{}}
	s.now = time.Now()
	for i := range s.nodes {
		s.makers[s.nodes[i].node] = s.maker(s.nodes[i].node)
		for _, name := range with {
			if s.nodes[i].node == name {
				s.nodes[i].Backup = &backupOffer{To: "/backup", EveryMillis: time.Hour.Milliseconds(), Keep: 24}
			}
		}
	}
	t.Cleanup(func() {
		for _, m := range s.makers {
			m.close()
		}
	})
	return s
}

func (s *backupStage) maker(node string) *backupMaker {
	return newBackupMaker(prometheus.NewRegistry(), fsm.New(), func(ctx context.Context) (backupOutcome, error) {
		s.mu.Lock()
		err := s.fail[node]
		s.made = append(s.made, fmt.Sprintf("%s at %v", node, time.Since(s.start).Round(time.Minute)))
		s.mu.Unlock()
		select {
		case <-time.After(s.took):
		case <-ctx.Done():
			return backupOutcome{}, ctx.Err()
		}
		return backupOutcome{Name: "/backup/a.hfb", Index: 7, Bytes: 99}, err
	})
}

func (s *backupStage) ask(_ context.Context, node string, what asked) (answered, error) {
	s.mu.Lock()
	m, silent := s.makers[node], s.silent[node]
	s.mu.Unlock()
	if silent {
		return answered{}, errAway
	}
	if what.Do == askBackupState {
		o := m.state(what.ID)
		return answered{Backup: &o}, nil
	}
	o, err := m.begin(what.ID)
	return answered{Backup: &o}, err
}

// leader begins a term; the returned function ends it.
func (s *backupStage) leader(node string) (kill func()) {
	t := s.term(node)
	s.fakeGroup.mu.Lock()
	for i := range s.nodes {
		s.nodes[i].self = s.nodes[i].node == node
	}
	s.fakeGroup.mu.Unlock()
	return s.lead(t, &backupDuty{term: t, ask: s.ask, id: func() string {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ids++
		return fmt.Sprint("b", s.ids)
	}})
}

func (s *backupStage) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// wantMade compares what has been made since the last call.
func (s *backupStage) wantMade(t *testing.T, want ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := strings.Join(s.made, ", "); got != strings.Join(want, ", ") {
		t.Errorf("made: %s; want %s", got, strings.Join(want, ", "))
	}
	s.made = nil
}

// The leader makes them itself when it can; otherwise a follower does; at once when there is none yet, then once in an interval.
func TestBackupsOnTime(t *testing.T) {
	for _, tt := range []struct{ with, want string }{{"n1 n2 n3", "n1"}, {"n3 n2", "n2"}, {"n3", "n3"}} {
		synctest.Test(t, func(t *testing.T) {
			s := newBackupStage(t, strings.Fields(tt.with)...)
			kill := s.leader("n1")
			time.Sleep(2*time.Hour + 30*time.Minute)
			kill()
			s.wantMade(t, tt.want+" at 0s", tt.want+" at 1h0m0s", tt.want+" at 2h0m0s")
			b := s.Operating().Backups
			if b.Runs() || b.Failures != 0 || b.Good == nil || b.Good.Node != tt.want || b.Good.Bytes != 99 || b.Every != time.Hour {
				t.Errorf("%+v", b)
			}
			wantCount[*fsm.BackupBegin](t, s.fakeGroup, 3)
			wantCount[*fsm.BackupEnd](t, s.fakeGroup, 3)
		})
	}
}

func TestNoBackupsWithoutTheSetting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newBackupStage(t)
		kill := s.leader("n1")
		time.Sleep(3 * time.Hour)
		s.wantMade(t)
		wantCount[*fsm.BackupBegin](t, s.fakeGroup, 0)
		// Somebody gets it, with an interval that is none: it is not believed.
		s.fakeGroup.mu.Lock()
		s.nodes[1].Backup = &backupOffer{To: "/b", EveryMillis: -1}
		s.fakeGroup.mu.Unlock()
		time.Sleep(2*time.Minute + 30*time.Second)
		kill()
		s.wantMade(t, "n2 at 3h0m0s", "n2 at 3h1m0s", "n2 at 3h2m0s")
	})
}

// Leaders come and go while a node makes one: it is made once.
func TestBackupOutlivesLeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newBackupStage(t, "n2", "n3")
		s.took = 10 * time.Minute
		for range 5 {
			for _, node := range []string{"n1", "n3", "n2"} {
				kill := s.leader(node)
				time.Sleep(30 * time.Second)
				kill()
			}
		}
		kill := s.leader("n1")
		time.Sleep(10 * time.Minute)
		kill()
		s.wantMade(t, "n2 at 0s")
		if b := s.Operating().Backups; b.Good == nil || b.Good.Node != "n2" || b.ID != "b1" {
			t.Errorf("%+v", b)
		}
	})
}

// A leader that dies before it has told the node: the next one tells it. Two that lead at once, one of which does not know that it does not any more: one attempt.
func TestBackupBegunByTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newBackupStage(t, "n2")
		s.set(func() { s.silent["n2"] = true })
		kill := s.leader("n1")
		time.Sleep(10 * time.Second)
		kill()
		s.wantMade(t)
		s.set(func() { s.silent["n2"] = false })
		first, second := s.leader("n3"), s.leader("n1")
		time.Sleep(time.Minute)
		first()
		second()
		s.wantMade(t, "n2 at 0s")
		wantCount[*fsm.BackupBegin](t, s.fakeGroup, 1)
	})
}

// After a failure another node is asked, after a pause that doubles up to the interval; the words are kept.
func TestBackupFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newBackupStage(t, "n1", "n2")
		s.took = 0
		s.set(func() {
			s.fail["n1"] = errors.New("no space left\non device " + strings.Repeat("x", 10_000))
			s.fail["n2"] = errors.New("no such directory")
		})
		kill := s.leader("n1")
		time.Sleep(40 * time.Minute)
		s.wantMade(t, "n1 at 0s", "n2 at 1m0s", "n1 at 3m0s", "n2 at 7m0s", "n1 at 15m0s", "n2 at 31m0s")
		if b := s.Operating().Backups; b.Failures != 6 || b.Failure != "no such directory" || b.Good != nil {
			t.Errorf("%+v", b)
		}
		time.Sleep(2 * time.Hour)
		s.wantMade(t, "n1 at 1h3m0s", "n2 at 2h3m0s")
		s.set(func() { clear(s.fail) })
		time.Sleep(3 * time.Hour)
		kill()
		s.wantMade(t, "n1 at 3h3m0s", "n1 at 4h3m0s", "n1 at 5h3m0s")
		if b := s.Operating().Backups; b.Failures != 0 || b.Failure != "" || b.Good == nil {
			t.Errorf("%+v", b)
		}
	})
}

// A node that dies with its backup, and one that is started again: the attempt is over, and another one follows.
func TestBackupNodeDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newBackupStage(t, "n2", "n3")
		s.took = time.Minute
		kill := s.leader("n1")
		time.Sleep(10 * time.Second)
		s.set(func() { s.silent["n2"] = true })
		s.fakeGroup.mu.Lock()
		s.nodes[1].reachable = false
		s.fakeGroup.mu.Unlock()
		time.Sleep(20 * time.Second)
		wantCount[*fsm.BackupEnd](t, s.fakeGroup, 0) // it may come back
		time.Sleep(15 * time.Second)
		if b := s.Operating().Backups; b.Runs() || b.Failure != errAway.Error() {
			t.Errorf("%+v", b)
		}
		time.Sleep(3 * time.Minute)
		s.wantMade(t, "n2 at 0s", "n3 at 2m0s")
		if b := s.Operating().Backups; b.Failures != 0 || b.Good == nil || b.Good.Node != "n3" {
			t.Errorf("%+v", b)
		}
		time.Sleep(58 * time.Minute)
		s.wantMade(t, "n3 at 1h2m0s")
		s.set(func() { // n3 starts again while it makes its second one
			old := s.makers["n3"]
			old.stop()
			s.makers["n3"] = s.maker("n3")
		})
		time.Sleep(3 * time.Second)
		if b := s.Operating().Backups; b.Runs() || b.Failure != "the node was started again while it made it" {
			t.Errorf("%+v", b)
		}
		kill()
	})
}

// An evacuated node makes one only when nobody else can.
func TestBackupAndEvacuation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newBackupStage(t, "n1", "n3")
		s.change(func(op *fsm.Operating) { op.Evacuated = []fsm.Evacuation{{Node: "n1"}} })
		kill := s.leader("n1")
		time.Sleep(time.Minute)
		s.wantMade(t, "n3 at 0s")
		s.fakeGroup.mu.Lock()
		s.nodes[2].reachable = false
		s.fakeGroup.mu.Unlock()
		time.Sleep(time.Hour)
		kill()
		s.wantMade(t, "n1 at 1h0m0s")
	})
}

// A node makes one at a time, knows each by its id, and ends what it makes when it leaves.
func TestBackupMaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newBackupStage(t)
		m := s.makers["n1"]
		if _, err := m.begin(""); err == nil {
			t.Error("without an id")
		}
		for range 3 {
			if o, err := m.begin("a"); err != nil || o.State != backupRuns {
				t.Errorf("%+v %v", o, err)
			}
		}
		if _, err := m.begin("b"); err == nil {
			t.Error("two at once")
		}
		if o := m.state("b"); o.State != backupUnknown {
			t.Errorf("%+v", o)
		}
		time.Sleep(6 * time.Second)
		if o, err := m.begin("a"); err != nil || o.State != backupEnded || o.Bytes != 99 {
			t.Errorf("%+v %v", o, err)
		}
		s.wantMade(t, "n1 at 0s")
		if _, err := m.begin("b"); err != nil {
			t.Error(err)
		}
		m.close()
		if o := m.state("b"); o.State != backupEnded || o.Failure != context.Canceled.Error() {
			t.Errorf("%+v", o)
		}
		if _, err := m.begin("c"); !errors.Is(err, errLeaving) {
			t.Error(err)
		}
	})
}
