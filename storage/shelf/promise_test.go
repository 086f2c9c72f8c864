package shelf

import (
	"testing"
	"time"
)

// TestPromisesOutliveOtherNeeds: bytes that were put a second time stay for Fresh, though the first who needed them does not any more: the second may be about to name them.
func TestPromisesOutliveOtherNeeds(t *testing.T) {
	b := open(t, t.TempDir(), 1000)
	needed := true
	sweep := func() int {
		n, _ := b.Sweep(b.Now(), func(Hash) bool { return needed })
		return n
	}
	h := b.put(t, "one")
	sweep()
	b.put(t, "one") // for somebody else, who stands still before it is named
	sweep()
	needed = false
	b.now = b.now.Add(2 * Spent)
	if n := sweep(); n != 0 || !b.Has(h) {
		t.Fatal("what was promised a moment ago was thrown away, because somebody else has needed it and needs it no more")
	}
	b.now = b.now.Add(Fresh)
	if n := sweep(); n != 1 {
		t.Errorf("%d were thrown away", n)
	}
}

// TestPromisesOutliveARestart: who was promised something by the process before may name it still.
func TestPromisesOutliveARestart(t *testing.T) {
	path := t.TempDir()
	b := open(t, path, 1000)
	h := b.put(t, "one")
	b = open(t, path, 1000)
	b.Sweep(b.Now(), func(Hash) bool { return true })
	b.now = b.now.Add(2 * Spent)
	if n, _ := b.Sweep(b.Now(), func(Hash) bool { return false }); n != 0 || !b.Has(h) {
		t.Error("it was thrown away")
	}
}

// TestSweepJudgesByTheTimeOfItsKnowledge: what was put after it was found out what is needed stays, and counts as not yet needed, however long ago that is: the process may have stood still since then.
func TestSweepJudgesByTheTimeOfItsKnowledge(t *testing.T) {
	b := open(t, t.TempDir(), 1000)
	known := b.Now()
	b.now = b.now.Add(time.Second)
	h := b.put(t, "one")
	b.now = b.now.Add(2 * Fresh)
	if n, _ := b.Sweep(known, func(Hash) bool { return false }); n != 0 || !b.Has(h) {
		t.Fatal("it was thrown away by what was known before it was put")
	}
	b.Sweep(known, func(Hash) bool { return true }) // of another value that had the same bytes
	b.now = b.now.Add(-2 * Fresh).Add(2 * Spent)
	if n, _ := b.Sweep(b.Now(), func(Hash) bool { return false }); n != 0 || !b.Has(h) {
		t.Error("it counts as needed by what was known before it was put")
	}
}

// TestDroppedGoesSoon: bytes that were named and replaced between two looks go as soon as those that a look has seen, unless somebody else was promised them.
func TestDroppedGoesSoon(t *testing.T) {
	b := open(t, t.TempDir(), 1000)
	sweep := func(after time.Duration) int {
		b.now = b.now.Add(after)
		n, _ := b.Sweep(b.Now(), func(Hash) bool { return false })
		return n
	}
	h := b.put(t, "one")
	b.Dropped(h)
	b.Dropped(Hash{1})
	if sweep(0) != 0 || sweep(Spent-1) != 0 || sweep(1) != 1 || b.Has(h) {
		t.Error("it stays, or has gone at once")
	}
	b.put(t, "one")
	b.put(t, "one")
	b.Dropped(h)
	if sweep(Fresh-1) != 0 || sweep(1) != 1 {
		t.Error("what was promised to two went with the first")
	}
	b.put(t, "one")
	b.Dropped(h)
	b.put(t, "one")
	if sweep(Fresh-1) != 0 || sweep(1) != 1 {
		t.Error("what was promised since went with the first")
	}
}
