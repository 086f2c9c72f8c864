package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"testing"
	"testing/iotest"
	"time"
)

func testSegmentHead() SegmentHead {
	return SegmentHead{GroupID: "0b7e6f0e-6d5b-4a3f-9d43-0f0a4a0c8a11", GroupName: "shop", Epoch: 2, After: 77, AfterTerm: 5, Created: begun}
}

func testEntry(index uint64) LogEntry {
	e := LogEntry{Index: index, Term: 5 + index/90, Command: index%5 != 0}
	if e.Command {
		e.Data = fmt.Appendf(nil, "command %d", index)
	}
	return e
}

func testMark(index uint64) Mark {
	return Mark{Index: index, Term: 5 + index/90, GroupTime: begun.Add(time.Duration(index) * time.Second), Proven: begun.Add(time.Minute), Digest: [16]byte{byte(index)}, Node: "n2"}
}

// segment has entries 78 to last with a mark behind each tenth and the last one.
func segment(t testing.TB, last uint64) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewSegmentWriter(&b, testSegmentHead())
	if err != nil {
		t.Fatal(err)
	}
	for i := uint64(78); i <= last; i++ {
		if err := w.Entry(testEntry(i)); err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 || i == last {
			if err := w.Mark(testMark(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return b.Bytes()
}

func readSegment(r io.Reader) (entries []LogEntry, marks []Mark, err error) {
	s, err := NewSegmentReader(r)
	if err != nil {
		return nil, nil, err
	}
	for {
		rec, err := s.Next()
		switch {
		case errors.Is(err, io.EOF):
			return entries, marks, nil
		case err != nil:
			return entries, marks, err
		case rec.Entry != nil:
			entries = append(entries, *rec.Entry)
		default:
			marks = append(marks, *rec.Mark)
		}
	}
}

func TestSegmentIsReadAsWritten(t *testing.T) {
	b := segment(t, 123)
	entries, marks, err := readSegment(iotest.OneByteReader(bytes.NewReader(b)))
	if err != nil || len(entries) != 46 || len(marks) != 6 {
		t.Fatalf("%d entries, %d marks, %v", len(entries), len(marks), err)
	}
	for i, e := range entries {
		if want := testEntry(uint64(78 + i)); e.Index != want.Index || e.Term != want.Term || e.Command != want.Command || !bytes.Equal(e.Data, want.Data) {
			t.Errorf("entry %+v", e)
		}
	}
	for _, m := range marks {
		if !reflect.DeepEqual(m, testMark(m.Index)) {
			t.Errorf("mark %+v", m)
		}
	}
}

// TestSegmentEveryFlippedByteIsFound: at the latest at the next mark; what was given out before is what was written.
func TestSegmentEveryFlippedByteIsFound(t *testing.T) {
	b := segment(t, 100)
	for i := range b {
		for _, mask := range []byte{0x01, 0x80, 0xff} {
			bad := bytes.Clone(b)
			bad[i] ^= mask
			entries, _, err := readSegment(bytes.NewReader(bad))
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) && !errors.Is(err, ErrTorn) {
				t.Fatalf("byte %d of %d xor %#x: %v", i, len(b), mask, err)
			}
			for _, e := range entries {
				if want := testEntry(e.Index); !bytes.Equal(e.Data, want.Data) || e.Term != want.Term {
					t.Fatalf("byte %d: entry %+v was given out", i, e)
				}
			}
		}
	}
}

// TestSegmentCuts: a cut between blocks is an end, any other one is torn.
func TestSegmentCuts(t *testing.T) {
	b := segment(t, 100)
	ends := 0
	for i := range b {
		entries, _, err := readSegment(bytes.NewReader(b[:i]))
		switch {
		case err == nil:
			ends++
		case !errors.Is(err, ErrTorn):
			t.Fatalf("%d of %d bytes: %v", i, len(b), err)
		}
		if n := len(entries); n > 23 {
			t.Fatalf("%d entries", n)
		}
	}
	if ends != 26 { // behind the head, 23 entries and 3 marks, but for the very end
		t.Errorf("%d ends", ends)
	}
}

// sealed frames content with a right CRC, whatever it says.
func sealed(kind byte, content []byte) []byte { return appendBlock(nil, kind, content) }

func TestHostileSegments(t *testing.T) {
	good := segment(t, 80)
	entry := func(index, term uint64, command byte, data string) []byte {
		b := binary.LittleEndian.AppendUint64(nil, index)
		b = binary.LittleEndian.AppendUint64(b, term)
		return append(append(b, command), data...)
	}
	huge := sealed(blockEntry, entry(81, 5, 1, "x"))
	binary.LittleEndian.PutUint32(huge[8:], maxBlock)
	over := bytes.Clone(huge)
	binary.LittleEndian.PutUint32(over[8:], 1<<32-1)
	for name, c := range map[string]struct {
		tail []byte
		want error
	}{
		"gap":              {sealed(blockEntry, entry(82, 5, 1, "x")), ErrDamaged},
		"again":            {sealed(blockEntry, entry(80, 5, 1, "x")), ErrDamaged},
		"term falls":       {sealed(blockEntry, entry(81, 4, 1, "x")), ErrDamaged},
		"data of nothing":  {sealed(blockEntry, entry(81, 5, 0, "x")), ErrDamaged},
		"command 2":        {sealed(blockEntry, entry(81, 5, 2, "x")), ErrDamaged},
		"short entry":      {sealed(blockEntry, []byte("x")), ErrDamaged},
		"short mark":       {sealed(blockMark, []byte("x")), ErrDamaged},
		"mark of another":  {sealed(blockMark, make([]byte, markFixed)), ErrDamaged},
		"second head":      {sealed(blockHead, []byte("{}")), ErrNewer},
		"later kind":       {sealed(blockMark+1, nil), ErrNewer},
		"5 MiB that lack":  {huge, ErrTorn},
		"4 GiB":            {over, ErrDamaged},
		"zeros, as a disk": {make([]byte, 4096), ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			entries, _, err := readSegment(bytes.NewReader(append(bytes.Clone(good), c.tail...)))
			runtime.ReadMemStats(&after)
			if !errors.Is(err, c.want) || len(entries) != 3 {
				t.Errorf("%d entries, %v", len(entries), err)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 4<<20 {
				t.Errorf("%d bytes were allocated", grown)
			}
		})
	}
	if entries, _, err := readSegment(bytes.NewReader(append(bytes.Clone(good), sealed(kindSkip+3, []byte("later"))...))); err != nil || len(entries) != 3 {
		t.Errorf("what may be skipped: %v", err)
	}
	for name, change := range map[string]func(*SegmentHead){
		"no group": func(h *SegmentHead) { h.GroupID = "" }, "path": func(h *SegmentHead) { h.GroupName = "../x" }, "terminal": func(h *SegmentHead) { h.GroupID = "\x1b[2J" },
		"epoch": func(h *SegmentHead) { h.Epoch = 0 }, "index": func(h *SegmentHead) { h.After = 0 }, "term": func(h *SegmentHead) { h.AfterTerm = 0 },
		"hash": func(h *SegmentHead) { h.Previous = "abc" }, "time": func(h *SegmentHead) { h.Created = time.Time{} },
	} {
		h := testSegmentHead()
		change(&h)
		if _, err := NewSegmentWriter(io.Discard, h); err == nil {
			t.Errorf("%s: written", name)
		}
	}
}

func TestSegmentWriterRefuses(t *testing.T) {
	w, err := NewSegmentWriter(io.Discard, testSegmentHead())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []LogEntry{{Index: 77, Term: 5}, {Index: 79, Term: 5}, {Index: 78, Term: 4}, {Index: 78, Term: 5, Data: []byte("x")},
		{Index: 78, Term: 5, Command: true, Data: make([]byte, maxBlock)}} {
		if err := w.Entry(e); err == nil {
			t.Errorf("entry %d of term %d was written", e.Index, e.Term)
		}
	}
	if err := w.Entry(LogEntry{Index: 78, Term: 6}); err != nil {
		t.Error(err)
	}
	for _, n := range []int{10, 200, 400} {
		w, err := NewSegmentWriter(&after{n: n}, testSegmentHead())
		for i := uint64(78); err == nil && i < 200; i++ {
			err = w.Entry(testEntry(i))
		}
		if !errors.Is(err, errDisk) {
			t.Errorf("after %d bytes: %v", n, err)
		}
		if w != nil && !errors.Is(w.Mark(testMark(1)), errDisk) {
			t.Error("written after an error")
		}
	}
}

// TestTornOrDamaged: the remains of a writer that was stopped are none; a damaged block with a whole one behind it is damage.
func TestTornOrDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.hfs")
	b := segment(t, 100)
	for n := len(b) - 300; n <= len(b); n++ {
		for _, junk := range [][]byte{nil, make([]byte, 100), noise(50)} {
			if err := os.WriteFile(path, append(bytes.Clone(b[:n]), junk...), 0o600); err != nil {
				t.Fatal(err)
			}
			end, err := ReadSegment(path, nil)
			if err != nil || end.Whole > int64(len(b)) || end.Index < 90 || end.Torn != (end.Whole < int64(n+len(junk))) {
				t.Fatalf("%d of %d bytes and %d of junk: %+v, %v", n, len(b), len(junk), end, err)
			}
		}
	}
	for i := 400; i < len(b)-400; i += 7 {
		bad := bytes.Clone(b)
		bad[i] ^= 1
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadSegment(path, nil); !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
}

func FuzzSegment(f *testing.F) {
	f.Add(segment(f, 80))
	f.Add(segment(f, 78)[:60])
	f.Add([]byte(segmentMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, _, err := readSegment(bytes.NewReader(b))
		if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) && !errors.Is(err, ErrTorn) {
			t.Fatalf("an error of no known kind: %v", err)
		}
		for i := 1; i < len(entries); i++ {
			if entries[i].Index != entries[i-1].Index+1 || entries[i].Term < entries[i-1].Term {
				t.Fatal("out of order")
			}
		}
	})
}

// TestGoldenSegment: segments that were written once are read for ever.
func TestGoldenSegment(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "v1.hfs"))
	if err != nil {
		t.Fatal(err)
	}
	entries, marks, err := readSegment(bytes.NewReader(b))
	if err != nil || len(entries) != 23 || len(marks) != 3 || !reflect.DeepEqual(marks[2], testMark(100)) || !bytes.Equal(entries[1].Data, testEntry(79).Data) {
		t.Fatalf("%d entries, marks %+v, %v", len(entries), marks, err)
	}
	if !bytes.Equal(segment(t, 100), b) {
		t.Error("what is written now is another format: raise the version")
	}
}
