package fault

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/proc"
)

// TestHowAProcessLeaves: the one from which another has taken over has to end, in its time and with status 0; one that does not is killed.
func TestHowAProcessLeaves(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		within time.Duration
		wants  string
	}{
		"well":        {"exit 0", 20 * time.Second, ""},
		"with status": {"exit 2", 20 * time.Second, "exit status 2"},
		"crashed":     {"kill -SEGV $$", 20 * time.Second, "segmentation fault"},
		"never":       {"sleep 60", 50 * time.Millisecond, "goes on"},
	} {
		p, err := proc.Start(proc.Spec{Name: "n1", Path: "/bin/sh", Args: []string{"-c", c.script}, Log: filepath.Join(t.TempDir(), "n1.log")})
		if err != nil {
			t.Fatal(err)
		}
		err = leaves(t.Context(), p, time.Now().Add(c.within))
		if errors.Is(err, ErrBroken) != (c.wants != "") || err != nil && !strings.Contains(err.Error(), c.wants) {
			t.Errorf("%s: %v", name, err)
		}
		if p.Alive() {
			t.Errorf("%s: it lives", name)
			p.Kill()
		}
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	p, err := proc.Start(proc.Spec{Name: "n1", Path: "/bin/sleep", Args: []string{"60"}, Log: filepath.Join(t.TempDir(), "n1.log")})
	if err != nil {
		t.Fatal(err)
	}
	if err := leaves(over, p, time.Now().Add(time.Minute)); err == nil || errors.Is(err, ErrBroken) || p.Alive() {
		t.Errorf("nobody waits any more: %v, it lives: %v", err, p.Alive())
	}
}

// TestWhatARefusedUpgradeCountsFor: other faults may keep a node from handing over; that its own program crashes, or is another one, they cannot bring about.
func TestWhatARefusedUpgradeCountsFor(t *testing.T) {
	for words, broken := range map[string]bool{
		"The group has no leader or no majority right now, so nothing was done.":                                                             false,
		"The program was not replaced, this one goes on: it has not answered in time: context deadline exceeded.":                            false,
		"The program was not replaced, this one goes on: this node leads, and no other one takes that over: no node is ready.":               false,
		"The program was not replaced, this one goes on: the process before has clients still: it ends when they do":                         false,
		"The program was not replaced, this one goes on: /bin/holdfast does not get ready: it has ended: exit status 2.":                     true,
		"The program was not replaced, this one goes on: the new program would be node \"n2\", this is node \"n1\": its settings are others": true,
		"it has not answered in time; and this process cannot take the node back: no room":                                                   true,
	} {
		err := refused(errors.New(words))
		if errors.Is(err, ErrBroken) != broken || errors.Is(err, ErrNothing) == broken || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", words, err)
		}
	}
}
