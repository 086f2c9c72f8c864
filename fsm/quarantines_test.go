package fsm

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// TestQuarantineEvents: each quarantine is told once, and its end once, however often and by whomever it is noted.
func TestQuarantineEvents(t *testing.T) {
	r := everything(t)
	before := r.s.LastEvent()
	note := func(c QuarantineNote) Event {
		t.Helper()
		if res := r.do(&c); res.Code != CodeOK {
			t.Fatalf("%+v", res)
		}
		last := r.s.Events(r.s.LastEvent()-1, 1)
		return last[0]
	}
	note(QuarantineNote{Node: "n2", Over: true})
	if r.s.LastEvent() != before {
		t.Fatal("a node is back that was never out")
	}
	out := QuarantineNote{Node: "n2", Cause: "diverged", Text: "its state is not the group's", Proposer: "n1"}
	e := note(out)
	if r.s.LastEvent() != before+1 || e.Kind != EventQuarantined || e.Actor != "n2" || e.Node != "n1" || e.Text != "Node n2 has taken itself out of service (diverged): its state is not the group's" {
		t.Fatalf("%+v", e)
	}
	note(out)
	if r.s.LastEvent() != before+1 || !r.s.InQuarantine()["n2"] {
		t.Error("told twice")
	}
	note(QuarantineNote{Node: "n3", Cause: "stuck"})
	out.Text = "another reason"
	note(out)
	if r.s.LastEvent() != before+3 {
		t.Error("a new reason is not told")
	}
	for range 2 {
		e = note(QuarantineNote{Node: "n2", Over: true, Proposer: "n3"})
	}
	if r.s.LastEvent() != before+4 || e.Kind != EventQuarantineOver || e.Text != "Node n2 is back in service" {
		t.Errorf("%+v", e)
	}
	if in := r.s.InQuarantine(); len(in) != 1 || !in["n3"] {
		t.Errorf("%v", in)
	}
	for _, bad := range []QuarantineNote{{}, {Node: "a b"}, {Node: "n2", Text: strings.Repeat("x", maxTextBytes+1)}, {Node: "n2", Cause: strings.Repeat("x", maxNameBytes+1)}, {Node: "n2", Proposer: strings.Repeat("x", maxNameBytes+1)}} {
		if res := r.do(&bad); res.Code != CodeInvalid || res.Message == "" {
			t.Errorf("%.80v: %+v", bad, res)
		}
	}
	long := QuarantineNote{Node: "n2", Cause: "stuck", Text: strings.Repeat("y", maxTextBytes)}
	note(long)
	at := r.s.LastEvent()
	note(long)
	if r.s.LastEvent() != at {
		t.Error("one whose text is cut is told twice")
	}
	r.survives()
}

// TestGoldenV4: what the fourth version brought.
func TestGoldenV4(t *testing.T) {
	r := newReplicaUnderTest(t)
	for _, entries := range [][]goldenEntry{goldenV1(t), goldenV2(t), goldenV3(t)} {
		applyGolden(t, r, entries)
	}
	at := testStart.Add(5 * time.Second)
	applyGolden(t, r, []goldenEntry{
		{file: "v4_quarantine_note.entry", bytes: mustEncode(t, at, &QuarantineNote{Node: "n2", Cause: "diverged", Text: "its state is not the group's", Proposer: "n1"}), code: CodeOK},
		{file: "v4_quarantine_over.entry", bytes: mustEncode(t, at, &QuarantineNote{Node: "n2", Over: true, Proposer: "n1"}), code: CodeOK},
		{file: "v4_checkpoint_hold.entry", bytes: mustEncode(t, at, &Checkpoint{PrevIndex: 3, PrevDigest: Digest(testKey(9)), Hold: true}), code: CodeOK},
	})
	digest := []byte(r.s.Digest().String() + "\n")
	if want := golden(t, "v4_state.digest", digest); !bytes.Equal(digest, want) {
		t.Errorf("the log leads to digest %s, the file has %s", digest, want)
	}
	applyGolden(t, r, []goldenEntry{{file: "v4_node_revoke.entry", bytes: mustEncode(t, at, &NodeRevoke{IDs: []string{"n3/0123abcd", "n2/00c0ffee"}, Proposer: "n1"}), code: CodeOK}})
	wantEqual(t, restored(t, golden(t, "v4_revoked.snapshot", snapshotBytes(t, r.s))), r.s)
}
