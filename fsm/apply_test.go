package fsm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// rawEntry makes an entry of any kind and payload.
func rawEntry(k kind, payload []byte) []byte {
	b := append(make([]byte, headerSize), payload...)
	seal(b, k, testStart.UnixMilli())
	return b
}

func TestApplyRefusesBadEntries(t *testing.T) {
	good := EncodeSessions(testStart, []SessionOp{{Kind: OpAssign, Key: testKey(1), Instance: 1}})
	newer := bytes.Clone(good)
	newer[0] = 2
	seal2 := func(b []byte) []byte {
		crc := entryCRC(b)
		b[2], b[3], b[4], b[5] = byte(crc), byte(crc>>8), byte(crc>>16), byte(crc>>24)
		return b
	}
	tests := map[string]struct {
		entry []byte
		want  error
	}{
		"nil":                   {nil, ErrEntryDamaged},
		"short":                 {good[:headerSize-1], ErrEntryDamaged},
		"cut off":               {good[:len(good)-1], ErrEntryDamaged},
		"longer":                {append(bytes.Clone(good), 0), ErrEntryDamaged},
		"too long":              {make([]byte, MaxEntrySize+1), ErrEntryDamaged},
		"half an operation":     {rawEntry(kindSessions, make([]byte, SessionOpSize/2)), ErrEntryDamaged},
		"newer format":          {seal2(newer), ErrEntryUnknown},
		"kind zero":             {rawEntry(0, nil), ErrEntryUnknown},
		"newer kind":            {rawEntry(lastKind+1, nil), ErrEntryUnknown},
		"no JSON":               {rawEntry(kindTokenPut, []byte("{")), ErrEntryDamaged},
		"empty rare":            {rawEntry(kindExpire, nil), ErrEntryDamaged},
		"wrong type":            {rawEntry(kindExpire, []byte(`{"shard":"x"}`)), ErrEntryDamaged},
		"negative shard":        {rawEntry(kindExpire, []byte(`{"shard":-1}`)), ErrEntryDamaged},
		"short request id":      {rawEntry(kindTokenDrop, []byte(`{"requestId":"00"}`)), ErrEntryDamaged},
		"bad configuration":     {rawEntry(kindConfigSet, []byte(`{"config":{"clusters":7}}`)), ErrEntryDamaged},
		"configuration no JSON": {rawEntry(kindConfigSet, []byte(`{"config":"x"}`)), ErrEntryDamaged},
		"deep JSON":             {rawEntry(kindConfigSet, []byte(`{"config":`+strings.Repeat("[", 100_000))), ErrEntryDamaged},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newReplicaUnderTest(t)
			r.configure(testCluster("c", time.Hour, "i1"))
			before := dumpOf(r.s)
			if _, err := r.s.Apply(r.index+1, tt.entry); !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if after := dumpOf(r.s); after.Digest != before.Digest || after.Applied != before.Applied {
				t.Fatal("an error has changed the state")
			}
		})
	}
}

// Every single flipped bit of an entry is found.
func TestApplyRefusesFlippedBits(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.configure(testCluster("c", time.Hour, "i1"))
	for _, good := range [][]byte{
		EncodeSessions(testStart, []SessionOp{{Kind: OpAssign, Key: testKey(1), Instance: 1}}),
		mustEncode(t, testStart, &TokenPut{RequestID: testRequestID(1), Token: testToken("a", RoleNode)}),
	} {
		for bit := range len(good) * 8 {
			bad := bytes.Clone(good)
			bad[bit/8] ^= 1 << (bit % 8)
			if _, err := r.s.Apply(r.index+1, bad); err == nil {
				t.Fatalf("bit %d flipped: accepted", bit)
			}
		}
	}
}

func TestApplyOrder(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.index = 9
	r.ops()
	for _, index := range []uint64{0, 9, 10} {
		if _, err := r.s.Apply(index, EncodeSessions(r.now, nil)); !errors.Is(err, ErrEntryOrder) {
			t.Errorf("index %d after 10: %v, want %v", index, err, ErrEntryOrder)
		}
	}
	d := r.s.Digest()
	r.s.Advance(20)
	r.s.Advance(15)
	if index, after := r.s.DigestAt(); index != 20 || r.s.Applied() != 20 || after != d {
		t.Errorf("after Advance: index %d, applied %d, digest changed: %v", index, r.s.Applied(), after != d)
	}
}

func TestIgnorableKindMovesOnlyTime(t *testing.T) {
	known, older := newReplicaUnderTest(t), newReplicaUnderTest(t)
	known.now = testStart.Add(time.Minute)
	older.now = known.now
	known.do(&Checkpoint{})
	b := append(make([]byte, headerSize), "what a newer version writes"...)
	seal(b, kindIgnorable|77, older.now.UnixMilli())
	if res := older.apply(b); res.Code != CodeOK || res.Index != 1 {
		t.Fatalf("result %+v", res)
	}
	if older.s.Digest() != known.s.Digest() || !older.s.Now().Equal(older.now) {
		t.Fatal("replicated time is not that of a node that knows the kind")
	}
}

// Session operations with bytes that this version must not know are refused one by one, not as an entry.
func TestReservedBytesOfSessionOps(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.configure(testCluster("c", time.Hour, "i1"))
	op := AppendSessionOp(nil, SessionOp{Kind: OpAssign, Key: testKey(1), Instance: 1})
	newer := bytes.Clone(op)
	newer[1] = maxReason + 1
	got := r.apply(rawEntry(kindSessions, append(newer, op...))).Sessions
	if got[0].Code != CodeUnknownOp || got[1].Code != CodeOK {
		t.Fatalf("results %+v", got)
	}
}

func TestStamp(t *testing.T) {
	c := &TokenDrop{RequestID: testRequestID(1), ID: "x"}
	b := mustEncode(t, testStart, c)
	later := testStart.Add(time.Hour)
	if err := Stamp(b, later); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, mustEncode(t, later, c)) {
		t.Fatal("a stamped entry is not the one that is encoded at that time")
	}
	b[20] ^= 1
	was := bytes.Clone(b)
	if err := Stamp(b, testStart); !errors.Is(err, ErrEntryDamaged) || !bytes.Equal(b, was) {
		t.Fatalf("damaged entry stamped: %v", err)
	}
}

func TestEncodeRefuses(t *testing.T) {
	if _, err := Encode(testStart, &ConfigSet{}); err == nil {
		t.Error("no configuration: accepted")
	}
	tok := testToken("a", RoleNode)
	tok.Note = strings.Repeat("x", MaxEntrySize)
	if _, err := Encode(testStart, &TokenPut{Token: tok}); err == nil {
		t.Error("too large: accepted")
	}
}

// A command that is sent again gives its first result, whatever has happened since, until 1024 others have come.
func TestRequestIDs(t *testing.T) {
	r := newReplicaUnderTest(t)
	set := &ConfigSet{RequestID: testRequestID(0), Expect: 0, Actor: "a", Config: testConfig(testCluster("c", time.Hour, "i1"))}
	first := r.do(set)
	if first.Code != CodeOK || first.Revision != 1 {
		t.Fatalf("first: %+v", first)
	}
	refused := r.do(&TokenDrop{RequestID: testRequestID(1), ID: "none"})
	if refused.Code != CodeAbsent {
		t.Fatalf("refused: %+v", refused)
	}
	r.do(&TokenPut{Token: testToken("none", "viewer")})
	for n := 2; n < maxRequests; n++ {
		r.do(&TokenDrop{RequestID: testRequestID(n), ID: fmt.Sprint(n)})
	}
	again := func(c Command, want Result) {
		t.Helper()
		before := r.s.Digest()
		if got := r.do(c); got.Code != want.Code || got.Index != want.Index || got.Revision != want.Revision || got.Message != want.Message {
			t.Fatalf("again: %+v, want %+v", got, want)
		}
		if r.s.Digest() != before {
			t.Fatal("a repetition has changed the state")
		}
	}
	again(set, first)
	again(&TokenDrop{RequestID: testRequestID(1), ID: "none"}, refused)
	// The memory survives a snapshot.
	r.s = restored(t, snapshotBytes(t, r.s))
	again(set, first)
	if got := r.do(&TokenDrop{RequestID: testRequestID(0), ID: "x"}); got.Code != CodeInvalid {
		t.Fatalf("the id of another command: %+v", got)
	}
	r.do(&TokenDrop{RequestID: testRequestID(maxRequests), ID: "x"})
	if got := r.do(set); got.Code != CodeConflict {
		t.Fatalf("after %d others: %+v, want a conflict", maxRequests, got)
	}
	wantEqual(t, restored(t, snapshotBytes(t, r.s)), r.s)
}

// A configuration of a newer version: fields that this one does not know must neither be lost nor change the digest.
func TestUnknownConfigurationFields(t *testing.T) {
	payload := `{"requestId":"00000000000000000000000000000001","expect":0,"actor":"a","new":1,
		"config":{"listeners":[],"clusters":[{"name":"c","instances":[{"name":"i","novel":{"a":[1,2]}}]}],"later":true}}`
	r := newReplicaUnderTest(t)
	if res := r.apply(rawEntry(kindConfigSet, []byte(payload))); res.Code != CodeOK {
		t.Fatalf("result %+v", res)
	}
	snapshot := snapshotBytes(t, r.s)
	if !bytes.Contains(snapshot, []byte(`"novel":{"a":[1,2]}`)) || !bytes.Contains(snapshot, []byte(`"later":true`)) {
		t.Fatal("the snapshot has lost a field")
	}
	wantEqual(t, restored(t, snapshot), r.s)
}

func TestJSONForms(t *testing.T) {
	type form struct {
		Key     Key
		Request RequestID
		Digest  Digest
	}
	want := form{testKey(1), testRequestID(1), Digest(testKey(2))}
	b, err := json.Marshal(want)
	if err != nil || !bytes.Contains(b, []byte(`"`+want.Key.String()+`"`)) {
		t.Fatalf("%s, %v", b, err)
	}
	var got form
	if err := json.Unmarshal(b, &got); err != nil || got != want {
		t.Fatalf("%+v, %v, want %+v", got, err, want)
	}
	for _, bad := range []string{"", "00", strings.Repeat("0", 31), strings.Repeat("0", 33), strings.Repeat("x", 32), strings.Repeat("0", 34)} {
		if _, err := ParseKey(bad); err == nil {
			t.Errorf("ParseKey(%q): accepted", bad)
		}
	}
	if k, err := ParseKey(want.Key.String()); err != nil || k != want.Key {
		t.Errorf("ParseKey: %v, %v", k, err)
	}
}
