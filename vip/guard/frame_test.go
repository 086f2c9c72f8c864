package guard

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/vip"
)

var testClaim = vip.Claim{Address: testAddresses[0], Hardware: "02:00:00:00:00:01"}

// bodies is one of each kind, and what decodes it.
func bodies() map[string]struct {
	body   []byte
	decode func([]byte) (any, error)
	want   any
} {
	type row = struct {
		body   []byte
		decode func([]byte) (any, error)
		want   any
	}
	h := hello{addresses: testAddresses, lease: 2 * time.Second, listener: true}
	failed := answer{err: errors.New("no such device"), free: true, hops: []vip.Hop{testHop}, claims: []vip.Claim{testClaim}}
	event := note{Event: vip.Event{Kind: vip.EventConflict, Interface: "eth0", Claim: testClaim, Text: "somebody"}, gone: true}
	return map[string]row{
		"hello":  {h.encode(), func(b []byte) (any, error) { return decodeHello(b) }, h},
		"ready":  {encodeReady(), func(b []byte) (any, error) { return nil, decodeReady(b) }, nil},
		"until":  {encodeTime(vip.Deadline(1 << 60)), func(b []byte) (any, error) { return decodeUntil(b) }, vip.Deadline(1 << 60)},
		"wait":   {encodeTime(time.Minute), func(b []byte) (any, error) { return decodeWait(b) }, time.Minute},
		"hops":   {appendHops(nil, []vip.Hop{testHop, testHop}), func(b []byte) (any, error) { return decodeHops(b) }, []vip.Hop{testHop, testHop}},
		"answer": {failed.encode(), func(b []byte) (any, error) { return decodeAnswer(b) }, failed},
		"note":   {event.encode(), func(b []byte) (any, error) { return decodeNote(b) }, event},
		"quiet":  {note{}.encode(), func(b []byte) (any, error) { return decodeNote(b) }, note{}},
		"line":   {line{slog.LevelDebug, "text"}.encode(), func(b []byte) (any, error) { return decodeLine(b) }, line{slog.LevelDebug, "text"}},
	}
}

// TestFramesComeBackAsTheyWent: and every cut and every byte too many is found.
func TestFramesComeBackAsTheyWent(t *testing.T) {
	for name, c := range bodies() {
		got, err := c.decode(c.body)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		for n := range c.body {
			if _, err := c.decode(c.body[:n]); err == nil {
				t.Errorf("%s: the first %d of %d bytes are taken for all", name, n, len(c.body))
			}
		}
		if _, err := c.decode(append(bytes.Clone(c.body), 0)); err == nil {
			t.Errorf("%s: a byte too many is not seen", name)
		}
	}
	f := frame{kind: kindDrop, id: 1 << 31, body: []byte("body")}
	if got, err := decodeFrame(f.encode()); err != nil || !reflect.DeepEqual(got, f) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestErrorsKeepWhatTheyAre: across the process's border.
func TestErrorsKeepWhatTheyAre(t *testing.T) {
	for _, is := range []error{vip.ErrTooLate, vip.ErrNoRelay} {
		a, err := decodeAnswer(answer{err: fmt.Errorf("netdev: %w", is)}.encode())
		if err != nil || !errors.Is(a.err, is) || a.err.Error() != "netdev: "+is.Error() {
			t.Errorf("%v, %v", a.err, err)
		}
	}
}

// TestFramesThatAreNone: each is refused with a word about what is wrong.
func TestFramesThatAreNone(t *testing.T) {
	head := append([]byte(magic), version)
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"empty":               {second(decodeFrame(nil)), "too short"},
		"kind 0":              {second(decodeFrame(make([]byte, 5))), "no kind"},
		"kind 255":            {second(decodeFrame([]byte{255, 0, 0, 0, 0})), "no kind"},
		"too long":            {second(decodeFrame(make([]byte, maxFrame+1))), "too long"},
		"another magic":       {decodeReady([]byte("HTTP\x01")), "no guard"},
		"another version":     {decodeReady([]byte(magic + "\x02")), "version 2"},
		"no deadline":         {second(decodeUntil(encodeTime(vip.Deadline(0)))), "no deadline"},
		"a negative deadline": {second(decodeUntil(encodeTime(vip.Deadline(-1)))), "no deadline"},
		"a negative wait":     {second(decodeWait(encodeTime(-time.Second))), "no time from"},
		"an hour":             {second(decodeWait(encodeTime(time.Hour))), "no time from"},
		"65535 hops":          {second(decodeHops([]byte{255, 255})), "65535 of them"},
		"a hop of no address": {second(decodeHops([]byte{0, 1, 0, 1, 'e', 0, 1, 'x'})), "unable to parse IP"},
		"code 9":              {second(decodeAnswer([]byte{9, 0, 0, 0, 0, 0, 0, 0})), "no code"},
		"half free":           {second(decodeAnswer([]byte{0, 2, 0, 0, 0, 0, 0, 0})), "neither 0 nor 1"},
		"event 99":            {second(decodeNote([]byte{0, 99, 0, 0, 0, 0, 0, 0, 0, 0})), "no kind of event"},
		"nothing to guard":    {second(decodeHello(append(bytes.Clone(head), 0, 0, 0, 0, 0, 0x77, 0x35, 0x94, 0, 0, 0))), "no virtual address"},
		"a lease of 0":        {second(decodeHello(hello{addresses: testAddresses}.encode())), "whole seconds"},
		"no address":          {second(decodeHello(append(bytes.Clone(head), 0, 0, 0, 0, 0, 0x77, 0x35, 0x94, 0, 0, 1, 0, 1, 'x'))), "CIDR@IFACE"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, c.err, c.want)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestTheLargestFramesFit: as many addresses, hops and claims as there may be, with names as long as they may be.
func TestTheLargestFramesFit(t *testing.T) {
	long := testAddresses[1]
	long.Interface = strings.Repeat("i", 15)
	hop := vip.Hop{Interface: long.Interface, Addr: long.IP()}
	a := answer{err: errors.New(strings.Repeat("e", 2*maxText))}
	for range 2 * maxHops {
		a.hops = append(a.hops, hop)
		a.claims = append(a.claims, vip.Claim{Address: long, Hardware: strings.Repeat("00:", 19) + "00"})
	}
	body := frame{body: a.encode()}.encode()
	if len(body) > maxFrame {
		t.Fatalf("%d bytes", len(body))
	}
	got, err := decodeAnswer(a.encode())
	if err != nil || len(got.hops) != maxHops || len(got.claims) != maxClaims || len(got.err.Error()) != maxText {
		t.Errorf("%d hops, %d claims, %v", len(got.hops), len(got.claims), err)
	}
}

// FuzzFrame: no bytes make a decoder panic or take much memory, and what is taken can be written again as it was.
func FuzzFrame(f *testing.F) {
	for _, c := range bodies() {
		for k := kindHello; k < kindEnd; k++ {
			f.Add(frame{kind: k, body: c.body}.encode())
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fr, err := decodeFrame(data)
		if err != nil {
			return
		}
		if !bytes.Equal(fr.encode(), data) {
			t.Fatal("the frame is another one now")
		}
		switch fr.kind {
		case kindHello:
			same(t, fr.body, decodeHello, hello.encode)
		case kindHold, kindPrepare:
			same(t, fr.body, decodeUntil, encodeTime[vip.Deadline])
		case kindDrop, kindProbe:
			same(t, fr.body, decodeWait, encodeTime[time.Duration])
		case kindRelay:
			same(t, fr.body, decodeHops, func(hops []vip.Hop) []byte { return appendHops(nil, hops) })
		case kindReady:
			_ = decodeReady(fr.body)
		case kindDone:
			same(t, fr.body, decodeAnswer, answer.encode)
		case kindEvent:
			same(t, fr.body, decodeNote, note.encode)
		case kindLog:
			same(t, fr.body, decodeLine, line.encode)
		}
	})
}

// same checks that what was read is written and read again as the same. The bytes may differ the first time: an address can be written in several ways.
func same[T any](t *testing.T, body []byte, decode func([]byte) (T, error), encode func(T) []byte) {
	first, err := decode(body)
	if err != nil {
		return
	}
	written := encode(first)
	second, err := decode(written)
	if err != nil || !bytes.Equal(encode(second), written) {
		t.Fatalf("%+v became %+v, %v", first, second, err)
	}
}
