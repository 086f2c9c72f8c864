package fsm

import (
	"strings"
	"testing"
	"time"
)

// TestCopyEvents: a copy that knocks again and again is one event, wherever and by whomever it is noted; that it knocks in another place is another one, an hour later at the earliest.
func TestCopyEvents(t *testing.T) {
	r := everything(t)
	before := r.s.LastEvent()
	note := func(c QuarantineNote, events uint64) Event {
		t.Helper()
		if res := r.do(&c); res.Code != CodeOK {
			t.Fatalf("%+v", res)
		}
		if got := r.s.LastEvent() - before; got != events {
			t.Fatalf("%d events, want %d", got, events)
		}
		return r.s.Events(r.s.LastEvent()-1, 1)[0]
	}
	e := note(QuarantineNote{Node: "n2", Copy: "10.0.0.9:7701", Text: "it runs at 10.0.0.2:7701", Proposer: "n1"}, 1)
	if e.Kind != EventCopyRefused || e.Actor != "n2" || e.Node != "n1" || e.Text != "A copy of node n2 was refused at 10.0.0.9:7701: it runs at 10.0.0.2:7701" {
		t.Errorf("%+v", e)
	}
	note(QuarantineNote{Node: "n2", Copy: "10.0.0.9:7701", Text: "it runs at 10.0.0.2:7701", Proposer: "n3"}, 1)
	note(QuarantineNote{Node: "n2", Copy: "10.0.0.9:7702", Text: "it runs at 10.0.0.2:7701"}, 1)
	note(QuarantineNote{Node: "n3", Copy: "10.0.0.9:7701"}, 2)
	r.now = r.now.Add(copiesApart)
	note(QuarantineNote{Node: "n2", Copy: "10.0.0.9:7701", Text: "it runs at 10.0.0.2:7701"}, 2)
	note(QuarantineNote{Node: "n2", Copy: "10.0.0.9:7702", Text: "it runs at 10.0.0.2:7701"}, 3)
	if s, q := r.s.Silent(), r.s.InQuarantine(); len(s) != 0 || len(q) != 0 {
		t.Errorf("%v, %v: it is none of the node's own", s, q)
	}
	if res := r.do(&QuarantineNote{Node: "n2", Copy: strings.Repeat("a", maxNameBytes+1)}); res.Code != CodeInvalid {
		t.Errorf("%+v", res)
	}
	r.survives()
}

// TestGoldenCopy: as it is written, and read.
func TestGoldenCopy(t *testing.T) {
	r := newReplicaUnderTest(t)
	applyGolden(t, r, []goldenEntry{
		{file: "v4_copy_refused.entry", bytes: mustEncode(t, testStart.Add(time.Minute), &QuarantineNote{Node: "n2", Copy: "10.0.0.9:7701", Text: "why", Proposer: "n1"}), code: CodeOK},
	})
	if list := r.s.Events(0, 9); len(list) != 1 || list[0].Kind != EventCopyRefused {
		t.Errorf("%+v", list)
	}
}
