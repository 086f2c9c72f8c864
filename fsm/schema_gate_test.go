package fsm

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fixture is what a program of the next schema wrote (schema_next_test.go).
func fixture(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSchemaFits: a program may be one ahead of its group, and never behind.
func TestSchemaFits(t *testing.T) {
	for inForce := BaseSchema; inForce < BaseSchema+3; inForce++ {
		for program := range inForce + 4 {
			if got, want := SchemaFits(program, inForce), program == inForce || program == inForce+1; got != want {
				t.Errorf("program %d in a group with %d: %v", program, inForce, got)
			}
		}
	}
}

// TestSchemaBeyondThisProgram: a node stops at a schema that it does not know, unchanged, with words that help.
func TestSchemaBeyondThisProgram(t *testing.T) {
	for name, c := range map[string]Command{
		"raised":  &SchemaRaise{To: Schema + 1, Node: "n1"},
		"far":     &SchemaRaise{To: 1 << 40, Node: "n1"},
		"founded": &GroupInit{RequestID: testRequestID(1), Group: testGroup(), Schema: Schema + 1},
	} {
		r := newReplicaUnderTest(t)
		before := dumpOf(r.s)
		_, err := r.s.Apply(1, mustEncode(t, testStart, c))
		if !errors.Is(err, ErrEntryUnknown) || !strings.Contains(err.Error(), "never lowered") || !strings.Contains(err.Error(), "install a version with schema") {
			t.Errorf("%s: %v", name, err)
		}
		if after := dumpOf(r.s); after.Digest != before.Digest || after.Applied != before.Applied {
			t.Errorf("%s: the state has changed", name)
		}
	}
}

// TestImpossibleSchemas: what no leader proposes changes nothing.
func TestImpossibleSchemas(t *testing.T) {
	r := newReplicaUnderTest(t)
	for _, c := range []struct {
		c    Command
		code Code
		says string
	}{
		{&SchemaRaise{To: BaseSchema, Node: "n1"}, CodeOK, ""}, // it is in force already
		{&SchemaRaise{To: BaseSchema - 1, Node: "n1"}, CodeConflict, "never lowered to 3"},
		{&SchemaRaise{To: -7, Node: "n1"}, CodeInvalid, "is none that a group is raised to"},
		{&SchemaRaise{Node: "n1"}, CodeInvalid, "is none that a group is raised to"},
		{&GroupInit{RequestID: testRequestID(1), Group: testGroup(), Schema: -1}, CodeInvalid, "a number from 1 on"},
	} {
		res := r.do(c.c)
		if res.Code != c.code || !strings.Contains(res.Message, c.says) {
			t.Errorf("%+v: %+v", c.c, res)
		}
	}
	if r.s.Schema() != BaseSchema || r.s.Operating().Raised != nil || r.s.LastEvent() != 0 {
		t.Errorf("schema %d, %d events", r.s.Schema(), r.s.LastEvent())
	}
	if _, err := r.s.Apply(r.index+1, rawEntry(kindSchemaRaise, []byte(`{"to":"4"}`))); !errors.Is(err, ErrEntryDamaged) {
		t.Errorf("wrong type: %v", err)
	}
}

// TestFilesOfTheNextSchema: entries and snapshots that a program of schema 5 wrote. Before the group was raised they are this program's too; after that a program of
// schema 4 refuses them with words, and changes nothing.
func TestFilesOfTheNextSchema(t *testing.T) {
	before := fixture(t, "v5_before.snapshot")
	state := restored(t, before)
	if state.Schema() != BaseSchema || state.Len() != 2 {
		t.Fatalf("schema %d, %d assignments", state.Schema(), state.Len())
	}
	if again := snapshotBytes(t, state); !bytes.Equal(again, before) {
		t.Error("a program of the next schema writes another snapshot of a group that has not been raised")
	}
	if Schema >= 5 {
		return // schema_next_test.go goes on
	}
	digest := state.Digest()
	for _, name := range []string{"v5_schema_raise.entry", "v5_note_set.entry", "v5_group_init.entry"} {
		if _, err := state.Apply(state.Applied()+1, fixture(t, name)); !errors.Is(err, ErrEntryUnknown) {
			t.Errorf("%s: %v", name, err)
		}
	}
	err := state.Restore(bytes.NewReader(fixture(t, "v5_after.snapshot")))
	if !errors.Is(err, ErrSnapshotUnknown) || errors.Is(err, ErrSnapshotDamaged) || !strings.Contains(err.Error(), "the group has schema 5 of the state, this program knows 4") {
		t.Errorf("restore: %v", err)
	}
	if state.Digest() != digest {
		t.Error("the state has changed")
	}
}

// TestEntrySchema: what is asked before an entry is proposed.
func TestEntrySchema(t *testing.T) {
	for _, b := range [][]byte{nil, {1}, EncodeSessions(testStart, nil), mustEncode(t, testStart, &Expire{}), mustEncode(t, testStart, &SchemaRaise{To: Schema, Node: "n1"})} {
		if got := EntrySchema(b); got != BaseSchema {
			t.Errorf("%q: %d", b, got)
		}
	}
	if got := EntrySchema(rawEntry(lastKind+1, nil)); got != Schema+1 && Schema == BaseSchema {
		t.Errorf("a later kind: %d", got)
	}
}
