package chaos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/load"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

// caughtTime is within how long a node must have found out that its state is wrong, and be out of service.
const caughtTime = 5 * time.Second

// TestDivergenceIsCaught: in the middle of a load one node loses a session that the group has recorded: a follower, or the leader, which holds the virtual address. Within 5 s it is out of service, without the
// address and without leadership; it names the session by its key, takes a new copy of the state and is back by itself; and no client was answered by another instance. Sessions of which nothing
// but the table knows the instance are in the follower's round only: a leader that has lost one knows of none.
func TestDivergenceIsCaught(t *testing.T) { // TIP-10, TIP-11
	for _, tc := range []struct {
		bug   string
		kinds []load.Kind
	}{
		{"lose-op-follower", []load.Kind{stage.Insert, stage.Learn, stage.Plain}},
		{"lose-op-leader", []load.Kind{stage.Insert, stage.Learn}},
	} {
		t.Run(tc.bug, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			hook := newAddressHook(t)
			s := set(t, ctx, mutants, stage.Options{Env: []string{"HOLDFAST_MUTANT=" + tc.bug, "HOLDFAST_VIP_HOOK=" + hook.program}})
			l := load.New(load.Options{Targets: s.Group.Targets(), Seed: 51})
			loaded, stop := context.WithCancel(ctx)
			defer stop()
			done := make(chan error, 1)
			go func() {
				done <- l.Storm(loaded, load.Storm{Kinds: tc.kinds, Sessions: 1_000_000, Workers: 8, Rate: 200, Repeats: 4})
			}()
			wrong, lost := whoLoses(t, ctx, s.Group)
			caught := lineOf(t, ctx, wrong, "this node takes itself out of service")
			answersNobody(t, wrong)
			named := lineOf(t, ctx, wrong, "what differs first in this node's state")
			after := caught.at.Sub(lost.at)
			t.Logf("%s (%s) found out after %v, and named the session after %v", wrong.Name, tc.bug, after.Round(time.Millisecond), named.at.Sub(lost.at).Round(time.Millisecond))
			if after > caughtTime {
				t.Errorf("it found out after %v, %v are promised", after, caughtTime)
			}
			if !strings.Contains(caught.text, "cause=diverged") || !strings.Contains(named.text, "session key "+lost.key()+": here it ") { // has no assignment, or one that its client has brought since
				t.Errorf("it says\n%s\n%s\nand has lost %s", caught.text, named.text, lost.key())
			}
			if holder := hook.moved(t, wrong.Name); tc.bug == "lose-op-leader" {
				if !holder.held || holder.dropped.Sub(lost.at) > caughtTime {
					t.Errorf("the wrong holder: %+v", holder)
				}
				t.Logf("it had dropped the address %v after it went wrong", holder.dropped.Sub(lost.at).Round(time.Millisecond))
			}
			back := backInService(t, ctx, s.Group, wrong, lost.at)
			t.Logf("it is back, with its vote, after %v", back.Round(time.Millisecond))
			stop()
			if err := <-done; err != nil || l.Record.Failed.Load() > 0 {
				t.Errorf("requests without an answer: %v; %s", err, &l.Record)
			}
			holdTables(t, ctx, s, l)
			comeBack(t, ctx, s, l)
			verdict(t, l)
		})
	}
}

// answersNobody dials a node that has found itself wrong directly, as a client would that keeps to it, or a balancer whose next probe of /readyz is still to come.
func answersNobody(t *testing.T, wrong *group.Node) {
	t.Helper()
	for range 20 {
		resp, err := http.Get("http://" + wrong.Traffic + stage.Insert.ContextRoot + "/")
		if err != nil {
			t.Errorf("a request to the node that is out of service: %v", err)
			return
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusServiceUnavailable || !resp.Close || len(resp.Cookies()) > 0 {
			t.Errorf("the node that is out of service answers %s, close %v, %v", resp.Status, resp.Close, resp.Header)
			return
		}
	}
}

// logLine is one line of a node's log, and when it was written.
type logLine struct {
	at   time.Time
	text string
}

var logTime, logKey = regexp.MustCompile(`^time=(\S+) `), regexp.MustCompile(` key=([0-9a-f]{32})`)

func (l logLine) key() string {
	if m := logKey.FindStringSubmatch(l.text); m != nil {
		return m[1]
	}
	return "none"
}

// findLine gives the first line of a node's log with these words.
func findLine(n *group.Node, words string) (logLine, error) {
	f, err := os.Open(n.Process().LogPath())
	if err != nil {
		return logLine{}, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if !strings.Contains(lines.Text(), words) {
			continue
		}
		m := logTime.FindStringSubmatch(lines.Text())
		if m == nil {
			return logLine{}, fmt.Errorf("%s: a line without a time: %s", n.Name, lines.Text())
		}
		at, err := time.Parse(time.RFC3339Nano, m[1])
		return logLine{at, lines.Text()}, err
	}
	return logLine{}, errors.Join(lines.Err(), fmt.Errorf("%s does not say %q", n.Name, words))
}

func lineOf(t *testing.T, ctx context.Context, n *group.Node, words string) (line logLine) {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	poll(t, limited, words, func() (err error) { line, err = findLine(n, words); return err })
	return line
}

// whoLoses waits until the known bug has done its work.
func whoLoses(t *testing.T, ctx context.Context, g *group.Group) (wrong *group.Node, line logLine) {
	t.Helper()
	poll(t, ctx, "the bug", func() error {
		for _, n := range g.Nodes {
			if l, err := findLine(n, "known bug: this node loses a session"); err == nil {
				wrong, line = n, l
				return nil
			}
		}
		return errors.New("no node has lost a session")
	})
	return wrong, line
}

// backInService waits until the node is ready, has its vote, and the group has nothing against it.
func backInService(t *testing.T, ctx context.Context, g *group.Group, wrong *group.Node, since time.Time) time.Duration {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	lineOf(t, limited, wrong, "this node drops its state and takes a new copy of the group's")
	poll(t, limited, wrong.Name+" is back", func() error {
		list, err := g.Other(wrong).Client.Nodes(limited, client.Stale())
		if err != nil {
			return err
		}
		for _, n := range list {
			if n.Name == wrong.Name && (!n.Ready || !n.Voter || n.Quarantine != nil) {
				return fmt.Errorf("ready %v, voter %v, quarantine %+v: %s", n.Ready, n.Voter, n.Quarantine, n.Reason)
			}
		}
		return nil
	})
	return time.Since(since)
}

// addressHook is the program that every node runs when it takes or drops the address; it writes when, who and what.
type addressHook struct{ program, told string }

func newAddressHook(t *testing.T) addressHook {
	t.Helper()
	dir := t.TempDir()
	h := addressHook{filepath.Join(dir, "hook"), filepath.Join(dir, "told")}
	if err := os.Chmod(dir, 0o755); err != nil { // a program that others could replace is not run
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\necho \"$(date +%%s%%N) $HOLDFAST_NODE $1\" >> %s\n", h.told)
	if err := os.WriteFile(h.program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return h
}

type addressMove struct {
	at         time.Time
	node, what string
}

func (h addressHook) moves(t *testing.T) (list []addressMove) {
	t.Helper()
	b, err := os.ReadFile(h.told)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var ns int64
		var m addressMove
		if _, err := fmt.Sscanf(line, "%d %s %s", &ns, &m.node, &m.what); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		m.at = time.Unix(0, ns)
		list = append(list, m)
	}
	return list
}

// held is what became of the address on one node: when it was dropped after it had been taken the first time.
type held struct {
	held    bool
	dropped time.Time
}

func (h addressHook) moved(t *testing.T, node string) (x held) {
	t.Helper()
	for _, m := range h.moves(t) {
		switch {
		case m.node != node:
		case m.what == "taken":
			x.held = true
		case x.held && x.dropped.IsZero():
			x.dropped = m.at
		}
	}
	return x
}
