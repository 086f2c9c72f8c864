package raftnode

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
)

func TestFrameRoundTrip(t *testing.T) {
	for _, f := range []frame{
		{id: 1, kind: callRecord, deadline: 1500 * time.Millisecond, payload: []byte("hello")},
		{id: math.MaxUint64, kind: replyOK, payload: []byte{}},
		{kind: callInfo, deadline: math.MaxUint32 * time.Millisecond, payload: bytes.Repeat([]byte{7}, 300<<10)},
	} {
		b := appendFrame([]byte("x"), f)[1:]
		got, err := readFrame(bufio.NewReader(bytes.NewReader(b)), maxPayload)
		if err != nil || !reflect.DeepEqual(got, f) {
			t.Errorf("id %d: %v, got id %d kind %d deadline %v and %d bytes", f.id, err, got.id, got.kind, got.deadline, len(got.payload))
		}
		if len(f.payload) == 5 {
			want := []byte{18, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 8, 0xdc, 5, 0, 0, 'h', 'e', 'l', 'l', 'o'}
			if !bytes.Equal(b, want) {
				t.Errorf("layout changed: % x", b)
			}
		}
	}
	if f, err := readFrame(bufio.NewReader(bytes.NewReader(appendFrame(nil, frame{deadline: -time.Second}))), 10); err != nil || f.deadline != 0 {
		t.Errorf("negative deadline: %v %v", f.deadline, err)
	}
}

func TestReadFrameRefuses(t *testing.T) {
	whole := appendFrame(nil, frame{id: 1, kind: callInfo, payload: []byte("payload")})
	for name, c := range map[string]struct {
		in   []byte
		want error
	}{
		"nothing":           {nil, io.EOF},
		"cut in the header": {whole[:9], errFrame},
		"cut in payload":    {whole[:len(whole)-1], errFrame},
		"no payload at all": {whole[:frameHeader], errFrame},
		"length 0":          {make([]byte, frameHeader), errFrame},
		"length 12":         {append([]byte{12}, make([]byte, frameHeader)...), errFrame},
		"one too long":      {appendFrame(nil, frame{payload: make([]byte, 101)}), errFrame},
		"4 GiB":             {bytes.Repeat([]byte{0xff}, 100), errFrame},
	} {
		if _, err := readFrame(bufio.NewReader(bytes.NewReader(c.in)), 100); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestReadFrameAllocatesWhatArrives: 8 MiB announced, 10 bytes sent.
func TestReadFrameAllocatesWhatArrives(t *testing.T) {
	b := appendFrame(nil, frame{payload: make([]byte, maxPayload)})[:frameHeader+10]
	r := bufio.NewReader(nil)
	allocated := testing.Benchmark(func(bb *testing.B) {
		bb.ReportAllocs()
		for range bb.N {
			r.Reset(bytes.NewReader(b))
			if _, err := readFrame(r, maxPayload); err == nil {
				bb.Fatal("read")
			}
		}
	}).AllocedBytesPerOp()
	if allocated > 100<<10 {
		t.Errorf("%d bytes allocated for 10", allocated)
	}
}

func TestFailureRoundTrip(t *testing.T) {
	for _, f := range []*failure{
		{code: failNotLeader, leaderID: "n1/12345678", leader: "127.0.0.1:7701"},
		{code: failRefused, text: "no"},
		{code: failUnknown},
	} {
		got, err := decodeFailure(f.encode())
		if err != nil || !reflect.DeepEqual(got, f) {
			t.Errorf("%+v: got %+v, %v", f, got, err)
		}
	}
	long := &failure{code: failRefused, text: strings.Repeat("x", 5000), leaderID: raft.ServerID(strings.Repeat("i", 300)), leader: "a"}
	if got, err := decodeFailure(long.encode()); err != nil || len(got.text) != maxText || got.leader != "" {
		t.Errorf("long: %v", err)
	}
	for _, bad := range [][]byte{nil, {1}, {1, 200, 0, 0}, {1, 0, 255, 255}, {1, 0, 0}} {
		if _, err := decodeFailure(bad); !errors.Is(err, errFrame) {
			t.Errorf("% x: %v", bad, err)
		}
	}
	for _, c := range []struct {
		err     error
		code    failCode
		notDone bool
	}{
		{refused("x"), failRefused, true}, {retryLater("x"), failRetry, true}, {ErrNoQuorum, failRetry, true},
		{noQuorum(true), failUnknown, false}, {io.EOF, failUnknown, false}, {&failure{code: failNotLeader}, failNotLeader, true},
	} {
		f := asFailure(c.err)
		if f.code != c.code || notDone(f) != c.notDone || f.Error() == "" {
			t.Errorf("%v: code %d", c.err, f.code)
		}
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add(appendFrame(nil, frame{id: 1, kind: callRecord, payload: []byte("x")}))
	f.Add([]byte{13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0})
	f.Add(bytes.Repeat([]byte{0xff}, 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readFrame(bufio.NewReader(bytes.NewReader(b)), 1000)
		if err != nil {
			return
		}
		if again := appendFrame(nil, got); !bytes.HasPrefix(b, again) {
			t.Errorf("% x is read as % x", b, again)
		}
	})
}

func FuzzDecodeOps(f *testing.F) {
	f.Add(encodeOps([]fsm.SessionOp{{Kind: fsm.OpMove, Key: testKey(1), Instance: 2, Expect: 3}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if ops, err := decodeOps(b); err == nil && !bytes.Equal(encodeOps(ops), b) {
			t.Errorf("% x is read as %v", b, ops)
		}
	})
}

func FuzzDecodeResults(f *testing.F) {
	f.Add(encodeResults([]fsm.SessionResult{{Code: fsm.CodeExists, Instance: 2, Index: 3}}), 1)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		if n < 0 || n > maxBatchOps {
			return
		}
		if rs, err := decodeResults(b, n); err == nil && !bytes.Equal(encodeResults(rs), b) {
			t.Errorf("% x is read as %v", b, rs)
		}
	})
}

func FuzzDecodeFailure(f *testing.F) {
	f.Add((&failure{code: failNotLeader, leaderID: "n1/12345678", leader: "127.0.0.1:7701", text: "x"}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := decodeFailure(b); err == nil && !bytes.Equal(got.encode(), b) {
			t.Errorf("% x is read as %+v", b, got)
		}
	})
}

func FuzzDecodeIndex(f *testing.F) {
	f.Add(encodeIndex(7))
	f.Fuzz(func(t *testing.T, b []byte) {
		if i, err := decodeIndex(b); err == nil && !bytes.Equal(encodeIndex(i), b) {
			t.Errorf("% x is read as %d", b, i)
		}
	})
}

// FuzzDecodeRequests holds that no JSON request can do more than be refused.
func FuzzDecodeRequests(f *testing.F) {
	f.Add(encodeJSON(hello{From: founder{Name: "n1", ID: "n1/12345678", Addr: "127.0.0.1:1"}, Expect: 3, View: []founder{{Name: "x"}}}))
	f.Add(encodeJSON(promise{Proposer: "n1/12345678", Members: []founder{{Name: "n1", ID: "n1/12345678", Addr: "127.0.0.1:1"}}}))
	f.Add(encodeJSON(tokenRequest{ID: "x", Secret: []byte{1}, CSR: []byte{2}}))
	f.Add(encodeJSON(tokenReply{Cert: []byte{1}, Group: "g"}))
	f.Add(encodeJSON(Info{Name: "n1"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := decodeJSON[hello](b); err == nil && h.valid() {
			_ = h.From.check(caller{name: h.From.Name, id: h.From.ID})
			_ = sameMembers(h.View, h.Members)
		}
		_, _ = decodeJSON[promise](b)
		_, _ = decodeJSON[tokenRequest](b)
		_, _ = decodeJSON[tokenReply](b)
		_, _ = decodeJSON[Info](b)
		_, _ = decodeResult(b)
	})
}
