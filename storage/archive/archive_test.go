package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

var begun = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func testHeader() Header {
	return Header{
		GroupID: "0b7e6f0e-6d5b-4a3f-9d43-0f0a4a0c8a11", GroupName: "shop", Epoch: 2, Index: 77, Term: 5, Confirmed: 77, GroupTime: begun.Add(-time.Second),
		Schema: 2, Program: "1.2.3", Created: begun, Node: "n1", Members: []Member{{Name: "n1", ID: "n1/0a", Addr: "10.0.0.1:7701", Voter: true}},
	}
}

func written(t testing.TB, h Header, state []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, h)
	if err != nil {
		t.Fatal(err)
	}
	// In pieces that fit nothing.
	for rest := state; len(rest) > 0; {
		n := min(len(rest), 70_001)
		if _, err := w.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// read reads a whole archive.
func read(b []byte) (Header, []byte, error) {
	r, err := NewReader(bytes.NewReader(b))
	if err != nil {
		return Header{}, nil, err
	}
	defer r.Close()
	state, err := io.ReadAll(r)
	return r.Header(), state, err
}

// noise does not get smaller, text does.
func noise(n int) []byte {
	b := make([]byte, n)
	seed := rand.NewChaCha8([32]byte{1})
	_, _ = seed.Read(b)
	return b
}

func text(n int) []byte { return bytes.Repeat([]byte("assignment "), n/11+1)[:n] }

func TestWhatIsWrittenIsRead(t *testing.T) {
	for name, state := range map[string][]byte{
		"nothing": nil, "a byte": {7}, "text": text(100_000), "one section": noise(maxSection), "one more byte": noise(maxSection + 1),
		"several sections": append(noise(maxSection), text(3*maxSection)...),
	} {
		t.Run(name, func(t *testing.T) {
			b := written(t, testHeader(), state)
			h, got, err := read(b)
			if err != nil || !bytes.Equal(got, state) {
				t.Fatalf("%d of %d bytes, %v", len(got), len(state), err)
			}
			if fmt.Sprint(h) != fmt.Sprint(testHeader()) {
				t.Errorf("header %+v", h)
			}
			r, err := NewReader(iotest.HalfReader(bytes.NewReader(b)))
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if got, err := io.ReadAll(iotest.OneByteReader(r)); err != nil || !bytes.Equal(got, state) {
				t.Errorf("in small pieces: %d of %d bytes, %v", len(got), len(state), err)
			}
			if sum := sha256.Sum256(b); r.Hash() != hex.EncodeToString(sum[:]) || r.Size() != uint64(len(b)) || r.State() != uint64(len(state)) {
				t.Errorf("hash %s, %d bytes, %d of state", r.Hash(), r.Size(), r.State())
			}
		})
	}
}

func TestEveryFlippedByteIsFound(t *testing.T) {
	b := written(t, testHeader(), append(text(3000), noise(200)...))
	for i := range b {
		for _, mask := range []byte{0x01, 0x80, 0xff} {
			bad := bytes.Clone(b)
			bad[i] ^= mask
			_, _, err := read(bad)
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
				t.Fatalf("byte %d of %d xor %#x: %v", i, len(b), mask, err)
			}
		}
	}
	t.Logf("%d bytes, three flips each", len(b))
}

func TestEveryCutIsFound(t *testing.T) {
	b := written(t, testHeader(), text(5000))
	for i := range b {
		if _, _, err := read(b[:i]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("%d of %d bytes: %v", i, len(b), err)
		}
	}
	if _, _, err := read(append(bytes.Clone(b), 0)); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "after its end") {
		t.Fatalf("one byte more: %v", err)
	}
}

// sections takes an archive apart: prefix, then whole sections.
func sections(b []byte) [][]byte {
	list := [][]byte{b[:prefixSize]}
	for b = b[prefixSize:]; len(b) > 0; {
		n := sectionHeadSize + sha256.Size + int(decodeSectionHead(b).stored)
		list = append(list, b[:n])
		b = b[n:]
	}
	return list
}

// TestSectionsStayInTheirPlaces: sections that are whole in themselves, but not where they were.
func TestSectionsStayInTheirPlaces(t *testing.T) {
	parts := sections(written(t, testHeader(), noise(2*maxSection+5)))
	if len(parts) != 6 {
		t.Fatalf("%d parts", len(parts))
	}
	other := sections(written(t, testHeader(), noise(2*maxSection+6)))
	for name, order := range map[string][][]byte{
		"swapped":       {parts[0], parts[1], parts[3], parts[2], parts[4], parts[5]},
		"twice":         {parts[0], parts[1], parts[2], parts[2], parts[3], parts[4], parts[5]},
		"one is gone":   {parts[0], parts[1], parts[2], parts[3], parts[5]},
		"of another":    {parts[0], parts[1], parts[2], parts[3], other[4], parts[5]},
		"no header":     {parts[0], parts[2], parts[3], parts[4], parts[5]},
		"only the end":  {parts[0], parts[5]},
		"end of others": {parts[0], parts[1], parts[2], parts[3], parts[4], other[5]},
	} {
		if _, _, err := read(bytes.Join(order, nil)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// forged makes a section with a right hash, whatever it says.
func forged(h sectionHead, stored []byte) []byte {
	head := h.encode()
	return bytes.Join([][]byte{head[:], sectionHash(head[:], stored), stored}, nil)
}

// TestHostileLengths: what says that it is large costs nothing before it is there.
func TestHostileLengths(t *testing.T) {
	parts := sections(written(t, testHeader(), text(10)))
	start := bytes.Join(parts[:2], nil)
	bomb := sections(written(t, testHeader(), text(maxSection)))[2]
	stored := bomb[sectionHeadSize+sha256.Size:]
	for name, tail := range map[string][]byte{
		"4 GiB raw":           forged(sectionHead{kindState, codecRaw, 1, 1<<32 - 1, 1<<32 - 1}, []byte("x")),
		"4 GiB unpacked":      forged(sectionHead{kindState, codecZstd, 1, 1<<32 - 1, 4}, []byte("xxxx")),
		"stored over raw":     forged(sectionHead{kindState, codecZstd, 1, 1, 4}, []byte("xxxx")),
		"more than it says":   forged(sectionHead{kindState, codecZstd, 1, uint32(len(stored)), uint32(len(stored))}, stored),
		"no zstd":             forged(sectionHead{kindState, codecZstd, 1, 9, 4}, []byte("xxxx")),
		"unknown codec":       forged(sectionHead{kindState, 2, 1, 4, 4}, []byte("xxxx")),
		"end of another size": forged(sectionHead{kindEnd, codecRaw, 1, 4, 4}, []byte("xxxx")),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _, err := read(append(bytes.Clone(start), tail...))
			runtime.ReadMemStats(&after)
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("%v", err)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
				t.Errorf("%d bytes were allocated", grown)
			}
		})
	}
}

// TestLaterVersions: what an old program may skip it skips, what it must not it refuses as newer.
func TestLaterVersions(t *testing.T) {
	parts := sections(written(t, testHeader(), text(10)))
	with := func(kind byte) []byte {
		extra := forged(sectionHead{kind, codecRaw, 1, 5, 5}, []byte("later"))
		state := forged(sectionHead{kindState, codecRaw, 2, 10, 10}, text(10))
		b := bytes.Join([][]byte{parts[0], parts[1], extra, state}, nil)
		sum := sha256.Sum256(b)
		end := binary.LittleEndian.AppendUint64(nil, 10)
		end = binary.LittleEndian.AppendUint32(end, 3)
		end = append(binary.LittleEndian.AppendUint32(end, 0), sum[:]...)
		return append(b, forged(sectionHead{kindEnd, codecRaw, 3, endSize, endSize}, end)...)
	}
	if _, state, err := read(with(kindSkip + 4)); err != nil || string(state) != string(text(10)) {
		t.Errorf("skip: %q, %v", state, err)
	}
	if _, _, err := read(with(kindEnd + 1)); !errors.Is(err, ErrNewer) {
		t.Errorf("unknown: %v", err)
	}
	b := bytes.Join(parts, nil)
	binary.LittleEndian.PutUint32(b[8:], version+1)
	if _, _, err := read(b); !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), "as new as the one that wrote it") {
		t.Errorf("version: %v", err)
	}
}

// TestGolden: archives that were written once are read for ever.
func TestGolden(t *testing.T) {
	path := filepath.Join("testdata", "v1.hfb")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h, state, err := read(b)
	if err != nil || fmt.Sprint(h) != fmt.Sprint(testHeader()) || !bytes.Equal(state, append(text(3000), noise(200)...)) {
		t.Fatalf("%+v, %d bytes, %v", h, len(state), err)
	}
}

func TestHeadersThatCannotBe(t *testing.T) {
	for name, change := range map[string]func(*Header){
		"no group":           func(h *Header) { h.GroupID = "" },
		"no name":            func(h *Header) { h.GroupName = "" },
		"path":               func(h *Header) { h.GroupName = "../../etc/passwd" },
		"hidden":             func(h *Header) { h.GroupName = ".shop" },
		"long name":          func(h *Header) { h.GroupName = strings.Repeat("x", 64) },
		"epoch":              func(h *Header) { h.Epoch = 0 },
		"index":              func(h *Header) { h.Index, h.Confirmed = 0, 0 },
		"schema":             func(h *Header) { h.Schema = -1 },
		"confirmed too much": func(h *Header) { h.Confirmed = h.Index + 1 },
		"no time":            func(h *Header) { h.Created = time.Time{} },
		"far future":         func(h *Header) { h.GroupTime = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"terminal":           func(h *Header) { h.Node = "n1\x1b[2J" },
		"members":            func(h *Header) { h.Members = make([]Member, maxMembers+1) },
		"long address":       func(h *Header) { h.Members[0].Addr = strings.Repeat("x", maxText+1) },
	} {
		h := testHeader()
		change(&h)
		if _, err := NewWriter(io.Discard, h); err == nil {
			t.Errorf("%s: written", name)
		}
		if err := h.check(); err == nil {
			t.Errorf("%s: read", name)
		}
	}
	if got := testHeader().Name(); got != "shop-2-77-20260301T120000Z.hfb" {
		t.Error(got)
	}
}

var errDisk = errors.New("disk")

// after fails once n bytes have gone through.
type after struct{ n int }

func (a *after) Write(p []byte) (int, error) {
	if a.n -= len(p); a.n < 0 {
		return 0, errDisk
	}
	return len(p), nil
}

func TestFailures(t *testing.T) {
	for _, n := range []int{0, 20, 100, maxSection, 2 * maxSection} {
		w, err := NewWriter(&after{n: n}, testHeader())
		if err == nil {
			_, _ = w.Write(noise(2 * maxSection))
			err = w.Close()
			if again := w.Close(); !errors.Is(again, errDisk) {
				t.Errorf("%d: a second Close: %v", n, again)
			}
			if _, late := w.Write([]byte("x")); late == nil {
				t.Errorf("%d: written after Close", n)
			}
		}
		if !errors.Is(err, errDisk) {
			t.Errorf("%d: %v", n, err)
		}
	}
	b := written(t, testHeader(), noise(3*maxSection))
	for _, n := range []int{10, 200, maxSection, len(b)} {
		r, err := NewReader(io.MultiReader(bytes.NewReader(b[:n]), iotest.ErrReader(errDisk)))
		if err == nil {
			_, err = io.Copy(io.Discard, r)
			r.Close()
		}
		if !errors.Is(err, errDisk) || errors.Is(err, ErrDamaged) {
			t.Errorf("an error of the disk after %d bytes: %v", n, err)
		}
	}
}

// TestMemoryIsBounded: a reader and a writer hold a section, not the archive.
func TestMemoryIsBounded(t *testing.T) {
	const size = 256 << 20
	pr, pw := io.Pipe()
	go func() {
		w, err := NewWriter(pw, testHeader())
		for b := noise(maxSection); err == nil && w.state < size; {
			_, err = w.Write(b)
		}
		pw.CloseWithError(errors.Join(err, w.Close()))
	}()
	r, err := NewReader(pr)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	peak := uint64(0)
	for range size / maxSection {
		if _, err := io.CopyN(io.Discard, r, maxSection); err != nil {
			t.Fatal(err)
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		peak = max(peak, m.HeapAlloc)
	}
	if n, err := io.Copy(io.Discard, r); n != 0 || err != nil {
		t.Fatalf("%d bytes more, %v", n, err)
	}
	if peak > 64<<20 {
		t.Errorf("the heap grew to %d MiB for %d MiB of state", peak>>20, size>>20)
	}
	t.Logf("heap at most %d MiB for %d MiB of state", peak>>20, size>>20)
}

func FuzzReader(f *testing.F) {
	f.Add(written(f, testHeader(), text(3000)))
	f.Add(written(f, testHeader(), append(text(3000), noise(200)...)))
	f.Add(written(f, testHeader(), nil))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, state, err := read(b)
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
				t.Fatalf("an error of no known kind: %v", err)
			}
			return
		}
		// What is taken can be written again, and is the same then.
		h2, again, err := read(written(t, h, state))
		if err != nil || fmt.Sprint(h2) != fmt.Sprint(h) || !bytes.Equal(again, state) {
			t.Fatalf("not the same again: %v", err)
		}
	})
}

func BenchmarkArchive(b *testing.B) {
	state := noise(64 << 20)
	b.SetBytes(int64(len(state)))
	for b.Loop() {
		w, err := NewWriter(io.Discard, testHeader())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := w.Write(state); err != nil {
			b.Fatal(err)
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
