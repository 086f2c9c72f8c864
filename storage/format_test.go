package storage

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/hashicorp/raft"
)

func TestEnvelopeCoversEverything(t *testing.T) {
	src := entry(7, 20)
	var stored raft.Log
	sum := wrapEntry(&stored, src, 77)
	clone := func() *raft.Log {
		l := stored
		l.Data = bytes.Clone(stored.Data)
		l.Extensions = bytes.Clone(stored.Extensions)
		return &l
	}
	l := clone()
	if s, prev, reason := unwrapEntry(l, 7); s != sum || prev != 77 || reason != "" || !sameEntry(l, src) {
		t.Fatal(s, prev, reason, l)
	}
	for name, change := range map[string]func(l *raft.Log){
		"index":             func(l *raft.Log) { l.Index++ },
		"term":              func(l *raft.Log) { l.Term++ },
		"type":              func(l *raft.Log) { l.Type = raft.LogConfiguration },
		"data":              func(l *raft.Log) { l.Data[3] ^= 1 },
		"data cut":          func(l *raft.Log) { l.Data = l.Data[:19] },
		"time":              func(l *raft.Log) { l.AppendedAt = l.AppendedAt.Add(1) },
		"no time":           func(l *raft.Log) { l.AppendedAt = time.Time{} },
		"format":            func(l *raft.Log) { l.Extensions[0]++ },
		"sum":               func(l *raft.Log) { l.Extensions[1] ^= 1 },
		"predecessor":       func(l *raft.Log) { l.Extensions[5] ^= 1 },
		"extension":         func(l *raft.Log) { l.Extensions[envelopeSize] ^= 1 },
		"extension cut":     func(l *raft.Log) { l.Extensions = l.Extensions[:envelopeSize] },
		"extension dropped": func(l *raft.Log) { l.Extensions = nil },
		"moved": func(l *raft.Log) {
			l.Data = append(l.Data, l.Extensions[envelopeSize])
			l.Extensions = append(l.Extensions[:envelopeSize:envelopeSize], l.Extensions[envelopeSize+1:]...)
		},
	} {
		l := clone()
		change(l)
		if _, _, reason := unwrapEntry(l, l.Index); reason == "" {
			t.Errorf("%s: change not seen", name)
		}
	}
	if _, _, reason := unwrapEntry(clone(), 8); reason == "" {
		t.Error("taken for another index")
	}
}

// TestStoredFormat pins the bytes on disk: a later version must read them.
func TestStoredFormat(t *testing.T) {
	var stored raft.Log
	wrapEntry(&stored, &raft.Log{Index: 5, Term: 2, Type: raft.LogCommand, Data: []byte("data"), Extensions: []byte("x"), AppendedAt: time.Unix(1_800_000_000, 5)}, 0x01020304)
	if got, want := fmt.Sprintf("%x", stored.Extensions), "01700349c30403020178"; got != want {
		t.Errorf("envelope %s, want %s", got, want)
	}
	s := seal{tx: 9, commit: 4, lastSum: 0xaabbccdd, entries: spans{{3, 7}}, pending: span{1, 2}, values: map[string][]byte{"k": []byte("v")}}
	want := "01" + "0900000000000000" + "0400000000000000" + "ddccbbaa" + "0100000000000000" + "0200000000000000" +
		"01000000" + "0300000000000000" + "0700000000000000" + "01000000" + "01000000" + "6b" + "01000000" + "76"
	if got := fmt.Sprintf("%x", s.encode().Data); got != want {
		t.Errorf("seal\n%s, want\n%s", got, want)
	}
	id := string(encodeIdentity(testIdentity))
	if want := "{\n  \"format\": 1,\n  \"name\": \"n1\",\n  \"nodeId\": \"0b0e4c1e-6b34-4a3e-9f34-2f2d2f0a0001\",\n  \"groupId\": \"g-1\",\n  \"epoch\": 1,\n  \"checksum\": \"0a28aa06\"\n}\n"; id != want {
		t.Errorf("node.json\n%q, want\n%q", id, want)
	}
}

func TestSealRoundTrip(t *testing.T) {
	for _, s := range []seal{
		{tx: 3},
		{tx: math.MaxUint64, commit: 5, lastSum: 1, entries: spans{{1, 5}}},
		{tx: 4, commit: 8, entries: spans{{2, 3}, {6, 9}, {11, math.MaxUint64 - 1}}, pending: span{1, 1}, values: map[string][]byte{"a": {}, "bb": []byte("x")}},
	} {
		got, err := decodeSeal(s.encode())
		if err != nil {
			t.Fatal(err)
		}
		deepEqual(t, "seal", got, s)
		data := s.encode().Data
		for i := range data { // every cut, and something behind
			l := s.encode()
			l.Data = data[:i]
			if _, err := decodeSeal(l); err == nil {
				t.Errorf("cut at %d: taken", i)
			}
		}
		l := s.encode()
		l.Data = append(l.Data, 0)
		if _, err := decodeSeal(l); err == nil {
			t.Error("trailing byte: taken")
		}
	}
}

func TestIdentityFile(t *testing.T) {
	good := encodeIdentity(testIdentity)
	if id, err := decodeIdentity("node.json", good); err != nil || id != testIdentity {
		t.Fatal(id, err)
	}
	for i := range good {
		for _, mask := range []byte{1, 2, 0x20, 0x80, 0xff} {
			bad := bytes.Clone(good)
			bad[i] ^= mask
			if id, err := decodeIdentity("node.json", bad); err == nil {
				t.Fatalf("byte %d ^ %#x: taken as %+v", i, mask, id)
			} else if !strings.Contains(err.Error(), "node.json") {
				t.Fatalf("error does not name the file: %v", err)
			}
		}
		if _, err := decodeIdentity("node.json", good[:i]); err == nil {
			t.Fatalf("cut at %d: taken", i)
		}
	}
	_, err := decodeIdentity("node.json", bytes.Replace(good, []byte(`"format": 1`), []byte(`"format": 2`), 1))
	var format *FormatError
	if !errors.As(err, &format) || format.Have != 2 || format.Want != 1 {
		t.Errorf("newer format: %v", err)
	}
}

func FuzzEnvelope(f *testing.F) {
	var stored raft.Log
	wrapEntry(&stored, entry(7, 20), 5)
	handle := &codec.MsgpackHandle{}
	handle.TimeNotBuiltin = true // as raft-boltdb does
	for _, l := range []*raft.Log{&stored, entry(7, 20), {}} {
		var b []byte
		if err := codec.NewEncoderBytes(&b, handle).Encode(l); err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint64(7))
	}
	f.Add([]byte{0xdf, 0xff, 0xff, 0xff, 0xff}, uint64(1))
	f.Fuzz(func(t *testing.T, data []byte, index uint64) {
		var l raft.Log
		sum, prev, reason := openRecord(record{index, data}, &l)
		if reason != "" {
			return
		}
		// What is taken is what would be stored for it.
		var again raft.Log
		if l.Index != index || wrapEntry(&again, &l, prev) != sum {
			t.Fatalf("taken with a wrong checksum: %+v", l)
		}
	})
}

func FuzzNodeJSON(f *testing.F) {
	f.Add(encodeIdentity(testIdentity))
	f.Add([]byte(`{"format":99}`))
	f.Add([]byte(`{"format":1,"name":"\u0000"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		id, err := decodeIdentity("node.json", data)
		if err == nil && (id.validate() != nil || !bytes.Equal(encodeIdentity(id), data)) {
			t.Fatalf("taken: %q", data)
		}
	})
}

func FuzzSeal(f *testing.F) {
	s := seal{tx: 4, commit: 8, entries: spans{{2, 3}, {6, 9}}, pending: span{1, 1}, values: map[string][]byte{"a": {}, "bb": []byte("x")}}
	f.Add(s.tx, s.encode().Data)
	f.Fuzz(func(t *testing.T, tx uint64, data []byte) {
		s, err := decodeSeal(&raft.Log{Index: sealIndex, Term: tx, Type: sealType, Data: data})
		if err == nil && len(s.encode().Data) > len(data) {
			t.Fatalf("grew: %+v", s)
		}
	})
}

// FuzzLogFile changes a raft.db by a patch, with the checksum of the meta pages made good again, so that the walk over the
// pages meets everything: it must end, without a panic.
func FuzzLogFile(f *testing.F) {
	whole := readFile(f, smallDir(f)+"/"+boltName)
	f.Add(uint32(16), []byte{1})
	f.Add(uint32(3*4096), []byte{3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 255, 255})
	f.Add(uint32(64), []byte{0x12})
	// Where a meta page has its transaction id (bbolt, db.go and page.go): after the page's header, 48 bytes of the meta.
	const txid = 16 + 48
	ids := func(image []byte) string {
		page := os.Getpagesize()
		return string(image[txid:txid+8]) + string(image[page+txid:page+txid+8])
	}
	f.Fuzz(func(t *testing.T, at uint32, patch []byte) {
		image := bytes.Clone(whole)
		copy(image[int(at)%len(image):], patch)
		fixMeta(image, 0)
		fixMeta(image, os.Getpagesize())
		c, err := checkImage("raft.db", image, -1)
		const all = smallLast - smallFirst + 1
		switch {
		case err != nil || c.checked == all:
		case ids(image) != ids(whole) && c.checked < all:
			// With good checksums and other transaction ids the page before the last is the newest: the file as it was a transaction ago.
		default:
			t.Fatalf("%d entries", c.checked)
		}
	})
}
