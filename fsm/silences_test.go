package fsm

import (
	"testing"
	"time"
)

// TestSilenceEvents: a node that does not answer is one event, and that it does again another one, however often and by whomever they are noted; neither has to do with its quarantine.
func TestSilenceEvents(t *testing.T) {
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
	note(QuarantineNote{Node: "n2", Silent: true, Over: true}, 0)
	e := note(QuarantineNote{Node: "n2", Silent: true, Text: "no answer since 12:00:01Z", Proposer: "n1"}, 1)
	if e.Kind != EventSilent || e.Actor != "n2" || e.Node != "n1" || e.Text != "Node n2 does not answer: no answer since 12:00:01Z" {
		t.Errorf("%+v", e)
	}
	note(QuarantineNote{Node: "n2", Silent: true, Text: "as another leader says", Proposer: "n3"}, 1)
	note(QuarantineNote{Node: "n2", Over: true}, 1)
	note(QuarantineNote{Node: "n2", Cause: "stuck"}, 2)
	if s, q := r.s.Silent(), r.s.InQuarantine(); len(s) != 1 || !s["n2"] || len(q) != 1 || !q["n2"] {
		t.Errorf("%v, %v", s, q)
	}
	e = note(QuarantineNote{Node: "n2", Silent: true, Over: true, Proposer: "n3"}, 3)
	if e.Kind != EventAnswers || e.Actor != "n2" || e.Text != "Node n2 answers again" {
		t.Errorf("%+v", e)
	}
	note(QuarantineNote{Node: "n2", Silent: true, Over: true}, 3)
	if s, q := r.s.Silent(), r.s.InQuarantine(); len(s) != 0 || len(q) != 1 {
		t.Errorf("%v, %v", s, q)
	}
	if res := r.do(&QuarantineNote{Node: "a b", Silent: true}); res.Code != CodeInvalid {
		t.Errorf("%+v", res)
	}
	r.survives()
}

// TestGoldenSilence: as it is written, and read.
func TestGoldenSilence(t *testing.T) {
	r := newReplicaUnderTest(t)
	applyGolden(t, r, []goldenEntry{
		{file: "v4_silent.entry", bytes: mustEncode(t, testStart, &QuarantineNote{Node: "n2", Silent: true, Text: "since", Proposer: "n1"}), code: CodeOK},
		{file: "v4_answers.entry", bytes: mustEncode(t, testStart.Add(time.Minute), &QuarantineNote{Node: "n2", Silent: true, Over: true, Proposer: "n1"}), code: CodeOK},
	})
	if list := r.s.Events(0, 9); len(list) != 2 || list[0].Kind != EventSilent || list[1].Kind != EventAnswers {
		t.Errorf("%+v", list)
	}
}
