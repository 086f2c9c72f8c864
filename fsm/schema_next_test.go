//go:build nextschema

package fsm

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// TestSchemaIsRaised: before, a command of the later schema is refused and the snapshot is one of the earlier; after, it works, and all of it survives.
// The files are those that a program of the schema before must refuse.
func TestSchemaIsRaised(t *testing.T) {
	r := newReplicaUnderTest(t)
	applyGolden(t, r, goldenV1(t))
	before := snapshotBytes(t, r.s)
	if want := golden(t, "v5_before.snapshot", before); !bytes.Equal(before, want) {
		t.Error("v5_before.snapshot: is now written otherwise")
	}
	at := testStart.Add(2 * time.Second)
	note := mustEncode(t, at, &NoteSet{RequestID: testRequestID(60), Actor: "admin", Text: "racks 3 and 4 are on the new switch"})
	digest := r.s.Digest()
	if EntrySchema(note) != 5 {
		t.Errorf("the note needs schema %d", EntrySchema(note))
	}
	early, err := r.s.Apply(r.index+1, note)
	r.index++
	if err != nil || early.Code != CodeInvalid || !strings.Contains(early.Message, "needs schema 5 of the state, the group has schema 4") || r.s.LastEvent() != 0 {
		t.Fatalf("%+v, %v", early, err)
	}
	if restored(t, before).Digest() != digest {
		t.Error("another digest after the snapshot")
	}
	raise := mustEncode(t, at, &SchemaRaise{To: 5, Node: "n2"})
	again := mustEncode(t, at, &SchemaRaise{To: 5, Node: "n1"})
	lower := mustEncode(t, at, &SchemaRaise{To: BaseSchema, Node: "n1"})
	for _, e := range []goldenEntry{{file: "v5_schema_raise.entry", bytes: raise}, {file: "v5_note_set.entry", bytes: note}} {
		applyGolden(t, r, []goldenEntry{e})
	}
	if res := r.apply(again); res.Code != CodeOK {
		t.Errorf("raised again: %+v", res)
	}
	if res := r.apply(lower); res.Code != CodeConflict || !strings.Contains(res.Message, "never lowered") {
		t.Errorf("lowered: %+v", res)
	}
	if x := r.s.Operating().Raised; r.s.Schema() != 5 || x.Node != "n2" || !x.Since.Equal(at) || x.Index == 0 {
		t.Errorf("schema %d: %+v", r.s.Schema(), x)
	}
	events := r.s.Events(0, 10)
	if len(events) != 2 || events[0].Kind != EventSchema || events[1].Kind != EventNote || events[1].Text != "racks 3 and 4 are on the new switch" {
		t.Errorf("%+v", events)
	}
	wantEqual(t, restored(t, golden(t, "v5_after.snapshot", snapshotBytes(t, r.s))), r.s)
	golden(t, "v5_group_init.entry", mustEncode(t, testStart, &GroupInit{RequestID: testRequestID(1), Group: testGroup(), Schema: 5}))
}

// TestGroupFoundedWithALaterSchema: nobody has to raise it.
func TestGroupFoundedWithALaterSchema(t *testing.T) {
	r := newReplicaUnderTest(t)
	if res := r.do(&GroupInit{RequestID: testRequestID(1), Group: testGroup(), Schema: 5}); res.Code != CodeOK || r.s.Schema() != 5 {
		t.Fatalf("%+v, schema %d", res, r.s.Schema())
	}
	wantEqual(t, restored(t, snapshotBytes(t, r.s)), r.s)
	for _, c := range []*NoteSet{{RequestID: testRequestID(2)}, {RequestID: testRequestID(3), Text: strings.Repeat("x", maxTextBytes+1)}} {
		if res := r.do(c); res.Code != CodeInvalid {
			t.Errorf("%d bytes: %+v", len(c.Text), res)
		}
	}
}
