package raftnode

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// TestPace: what a node sees second by second, and when it is stuck.
func TestPace(t *testing.T) {
	good := sight{follows: true, answered: true}
	at := func(s sight, applied, theirs uint64) sight { s.applied, s.theirs = applied, theirs; return s }
	silent := sight{follows: true}
	full := sight{follows: true, answered: true, full: "no room"}
	for name, tc := range map[string]struct {
		sights []sight // one a second
		stuck  int     // the first at which it is stuck; -1: never
		words  string
	}{
		"idle":                 {[]sight{at(good, 5, 5), at(good, 5, 5), at(good, 5, 5), at(good, 5, 5), at(good, 5, 5), at(good, 5, 5), at(good, 5, 5)}, -1, ""},
		"behind but moving":    {[]sight{at(good, 5, 90), at(good, 6, 91), at(good, 7, 92), at(good, 8, 93), at(good, 9, 94), at(good, 10, 95)}, -1, ""},
		"nothing applied":      {[]sight{at(good, 5, 5), at(good, 5, 9), at(good, 5, 10), at(good, 5, 11), at(good, 5, 12), at(good, 5, 13)}, 4, "applied nothing behind log index 5"},
		"it goes on in time":   {[]sight{at(good, 5, 9), at(good, 5, 10), at(good, 5, 11), at(good, 6, 12), at(good, 6, 13), at(good, 13, 13)}, -1, ""},
		"a whole state comes":  {[]sight{at(sight{follows: true, answered: true, restore: true}, 5, 9), at(sight{follows: true, answered: true, restore: true}, 5, 19), at(sight{follows: true, answered: true, restore: true}, 5, 29), at(sight{follows: true, answered: true, restore: true}, 5, 39), at(good, 39, 39)}, -1, ""},
		"one batch for ever":   {[]sight{at(good, 5, 5), {applied: 5, applying: time.Second}, {applied: 5, applying: 2 * time.Second}, {applied: 5, applying: 3 * time.Second}}, 3, "has been applying"},
		"the leader is silent": {[]sight{at(good, 5, 5), silent, silent, silent, silent, silent, silent}, 6, "has not answered what this node asks it since 12:00:01Z"},
		"silent, then not":     {[]sight{silent, silent, silent, silent, at(good, 0, 0), silent, silent, silent, silent}, -1, ""},
		"no leader":            {[]sight{silent, silent, silent, {}, silent, silent, silent, silent}, -1, ""},
		"not caught up since its start": {[]sight{at(good, 5, 90), at(good, 5, 91), at(good, 5, 92), at(good, 5, 93), at(good, 5, 94), at(good, 5, 95), silent, silent, silent, silent, silent, silent,
			{follows: true, applied: 5, applying: 4 * time.Second}, {follows: true, answered: true, applied: 5, theirs: 90, failed: 6 * time.Second}}, -1, ""},
		"caught up, then not":   {[]sight{at(good, 5, 90), at(good, 5, 90), at(good, 5, 90), at(good, 5, 90), at(good, 90, 90), at(good, 90, 95), at(good, 90, 96), at(good, 90, 97), at(good, 90, 98)}, 8, "applied nothing behind log index 90"},
		"under load":            {[]sight{at(good, 5, 90), at(good, 85, 170), at(good, 165, 250), at(good, 165, 330), at(good, 165, 410), at(good, 165, 490), at(good, 165, 570)}, 5, "applied nothing behind log index 165"},
		"it leads, and stops":   {[]sight{{leads: true, applied: 5}, {leads: true, applied: 5, applying: 3 * time.Second}}, 1, "has been applying"},
		"recording fails":       {[]sight{at(good, 5, 5), {follows: true, answered: true, failed: 5 * time.Second, reason: "because"}}, 1, "nothing that it asks for has been recorded since 11:59:56Z, while the group goes on: because"},
		"no room, not behind":   {[]sight{at(good, 5, 5), at(full, 5, 5), at(full, 5, 5), at(full, 5, 5), at(full, 5, 5), at(full, 5, 5)}, -1, ""},
		"no room":               {[]sight{at(good, 5, 5), at(full, 5, 9), at(full, 5, 10), {follows: true, full: "no room", applied: 5}, at(full, 5, 11)}, 1, "no room"},
		"no room, then stuck":   {[]sight{at(good, 5, 5), at(full, 5, 9), at(good, 5, 10), at(good, 5, 11), at(good, 5, 12), at(good, 5, 13)}, 1, ""},
		"recording fails a bit": {[]sight{at(good, 5, 5), {follows: true, answered: true, applied: 5, theirs: 5, failed: 4 * time.Second}}, -1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var p pace
			now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
			for i, s := range tc.sights {
				s.now = now.Add(time.Duration(i) * time.Second)
				_, why := p.step(s)
				if (why != "") != (tc.stuck >= 0 && i >= tc.stuck) || !strings.Contains(why, tc.words) && why != "" {
					t.Fatalf("second %d: %q", i, why)
				}
			}
		})
	}
}

// TestPaceOfAFullDisk: behind because its disk has no room a node is what it is called, at once, and until it has what the group had when there was room again.
func TestPaceOfAFullDisk(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	see := func(p *pace, full string, applied, theirs uint64, after time.Duration) stuckness {
		now = now.Add(after)
		kind, _ := p.step(sight{now: now, follows: true, answered: true, full: full, applied: applied, theirs: theirs})
		return kind
	}
	var p pace
	for i, c := range []struct {
		full            string
		applied, theirs uint64
		want            stuckness
	}{
		{"", 5, 5, notStuck}, {"x", 5, 5, notStuck}, {"x", 5, 90, stuckFull}, {"x", 6, 90, stuckFull}, {"x", 6, 91, stuckFull},
		{"", 6, 92, stuckRefill}, {"x", 6, 92, stuckFull}, {"", 6, 92, stuckRefill}, {"", 50, 99, stuckRefill}, {"", 92, 100, notStuck}, {"", 100, 100, notStuck},
		{"x", 100, 200, stuckFull}, {"", 100, 200, stuckRefill},
	} {
		if got := see(&p, c.full, c.applied, c.theirs, time.Second); got != c.want {
			t.Fatalf("step %d: %d, want %d", i, got, c.want)
		}
	}
	for i := range int(refillAfter/time.Second) - 1 {
		if got := see(&p, "", 100, 200, time.Second); got != stuckRefill {
			t.Fatalf("second %d with room: %d", i, got)
		}
	}
	if got := see(&p, "", 100, 200, time.Second); got != stuckBehind { // room alone was not it
		t.Fatalf("it is never stuck: %d", got)
	}
	if stuckFull.cause() != CauseFull || stuckRefill.cause() != CauseFull || stuckBehind.cause() != CauseStuck {
		t.Error("causes")
	}
}

// TestPaceSaysTheSameForAsLong: the words of one trouble do not change while it lasts, for each change would be an event of the group; those of another, and of the next, are new.
func TestPaceSaysTheSameForAsLong(t *testing.T) {
	var p pace
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	said := map[string]int{}
	see := func(seconds int, s sight) {
		for range seconds {
			now = now.Add(time.Second)
			s.now, s.follows, s.theirs = now, true, s.theirs+1
			_, why := p.step(s)
			said[why]++
		}
	}
	see(1, sight{answered: true, applied: 1})
	see(20, sight{answered: true, applied: 1, theirs: 10})
	see(20, sight{applied: 1, applying: 3 * time.Second})
	see(2, sight{answered: true, applied: 1000})
	see(20, sight{answered: true, applied: 1000, theirs: 2000})
	delete(said, "")
	if len(said) != 3 {
		t.Errorf("%d texts: %v", len(said), said)
	}
}

// A process that stood still knows nothing of what it has missed: it looks again first.
func TestPaceOfAProcessThatStoodStill(t *testing.T) {
	var p pace
	now := time.Now()
	s := sight{now: now, follows: true, answered: true, applied: 5, theirs: 5}
	p.step(s)
	s.theirs = 9
	p.step(s)
	s.now, s.applying = now.Add(time.Minute), time.Minute
	if _, why := p.step(s); why != "" {
		t.Errorf("at once: %s", why)
	}
	s.now, s.applying = now.Add(61*time.Second), 0
	if _, why := p.step(s); why != "" {
		t.Errorf("a second later: %s", why)
	}
	s.now = now.Add(62 * time.Second)
	if _, why := p.step(s); why != "" {
		t.Errorf("two seconds later: %s", why)
	}
}

func TestProgressCountsWhatFailsWhileOthersGoOn(t *testing.T) {
	var p progress
	later := time.Now().Add(time.Minute)
	boom := errors.New("boom")
	for i := range 2 {
		p.outcome(boom, uint64(i))
	}
	if d, _ := p.failed(later, 9); d != 0 {
		t.Errorf("%v after two failures", d)
	}
	p.outcome(boom, 2)
	if d, why := p.failed(later, 9); d < 59*time.Second || why != "boom" {
		t.Errorf("%v, %q", d, why)
	}
	if d, _ := p.failed(later, 0); d != 0 {
		t.Errorf("%v though nothing of others came either", d)
	}
	p.outcome(nil, 3)
	if d, _ := p.failed(later, 9); d != 0 {
		t.Errorf("%v after a success", d)
	}
	var none *progress
	none.beginApply()()
}
