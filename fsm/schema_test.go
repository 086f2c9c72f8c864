package fsm

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// TestSchemaGoesWithTheFormats: UCD-01. Who adds a kind that older programs stop at, or a layout of snapshots, raises Schema and adds a line here.
func TestSchemaGoesWithTheFormats(t *testing.T) {
	want, ok := map[int]struct {
		kinds    int // that a program may not skip
		snapshot uint32
	}{1: {7, 1}, 2: {19, 2}, 3: {24, 2}, 4: {53, 2}, 5: {54, 2}}[Schema]
	if !ok {
		t.Fatalf("schema %d is not described here", Schema)
	}
	kinds := 0
	for k := range kindIgnorable {
		if k.known() {
			kinds++
		}
	}
	if kinds != want.kinds {
		t.Errorf("%d kinds are known, schema %d has %d: a new one needs another schema", kinds, Schema, want.kinds)
	}
	var file bytes.Buffer
	newSectionWriter(&file).fileHeader(1, 1)
	if got := binary.LittleEndian.Uint32(file.Bytes()[8:]); got != want.snapshot {
		t.Errorf("snapshots are written as version %d, schema %d has %d", got, Schema, want.snapshot)
	}
}
