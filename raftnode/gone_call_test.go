package raftnode

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

func TestGoneRequestLayout(t *testing.T) {
	g := goneRequest{cause: causeSilent, lost: lost{"n1/12345678", 258}, last: position{3, 4}}
	want := append([]byte{2, 2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0}, "n1/12345678"...)
	if b := g.encode(); !bytes.Equal(b, want) {
		t.Errorf("layout changed: % x", b)
	}
	if got, err := decodeGone(want); err != nil || got != g {
		t.Errorf("%+v, %v", got, err)
	}
	g.claim = true
	want[0] = 0x82
	if b := g.encode(); !bytes.Equal(b, want) {
		t.Errorf("layout of a claim changed: % x", b)
	}
	if got, err := decodeGone(want); err != nil || got != g {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range [][]byte{nil, {1}, want[:goneFixed], append(want[:goneFixed:goneFixed], bytes.Repeat([]byte("x"), 256)...)} {
		if _, err := decodeGone(bad); !errors.Is(err, errFrame) {
			t.Errorf("%d bytes: %v", len(bad), err)
		}
	}
	for _, c := range []byte{0, 3, 0x80, 0x83, 255} {
		newer := bytes.Clone(want)
		newer[0] = c
		var f *failure
		if _, err := decodeGone(newer); !errors.As(err, &f) || f.code != failUnsupported {
			t.Errorf("cause %d: %v", c, err)
		}
	}
	for _, bad := range [][]byte{nil, {5}, {255}, {1, 1}} {
		if _, err := decodeVerdict(bad); !errors.Is(err, errFrame) {
			t.Errorf("verdict % x: %v", bad, err)
		}
	}
}

func TestAgeIsBounded(t *testing.T) {
	if d, err := decodeAge(encodeAge(7*time.Millisecond), 8*time.Millisecond); err != nil || d != 7*time.Millisecond {
		t.Errorf("%v, %v", d, err)
	}
	for _, bad := range [][]byte{nil, {1}, encodeAge(8 * time.Millisecond), encodeAge(-1), bytes.Repeat([]byte{0xff}, 8), append(bytes.Repeat([]byte{0}, 7), 0x80)} {
		if d, err := decodeAge(bad, 8*time.Millisecond); !errors.Is(err, errFrame) {
			t.Errorf("% x: %v, %v", bad, d, err)
		}
	}
}

func TestLongerLog(t *testing.T) {
	for _, c := range []struct {
		a, b   position
		longer bool
	}{
		{position{5, 2}, position{5, 2}, false}, {position{6, 2}, position{5, 2}, true}, {position{5, 3}, position{9, 2}, true}, {position{9, 2}, position{5, 3}, false},
	} {
		if got := c.a.longer(c.b); got != c.longer {
			t.Errorf("%+v longer than %+v: %v", c.a, c.b, got)
		}
	}
}

func FuzzDecodeGone(f *testing.F) {
	f.Add(goneRequest{cause: causeDead, lost: lost{"n1/12345678", 7}, last: position{1, 2}}.encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := decodeGone(b)
		if err != nil {
			return
		}
		if !bytes.Equal(g.encode(), b) || g.lost.leader == raft.ServerID("") {
			t.Errorf("% x is read as %+v", b, g)
		}
	})
}

func FuzzDecodeAge(f *testing.F) {
	f.Add(encodeAge(time.Second))
	f.Add(bytes.Repeat([]byte{0xff}, 8))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := decodeAge(b, time.Minute)
		if err == nil && (d < 0 || d >= time.Minute || !bytes.Equal(encodeAge(d), b)) {
			t.Errorf("% x is read as %v", b, d)
		}
		if v, err := decodeVerdict(b); err == nil && v > verdictTaken {
			t.Errorf("% x is the verdict %d", b, v)
		}
	})
}
