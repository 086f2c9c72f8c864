package kernel

import (
	"testing"
	"time"
)

// TestAClaimIsDueOnce: a claim that was kept back, and is no conflict any more when its time comes, must not keep the guard busy: it runs with a high priority.
func TestAClaimIsDueOnce(t *testing.T) {
	a := &held{}
	w := &watch{k: &Kernel{}, told: map[*held]time.Time{a: time.Now().Add(-conflictEvery)}, late: map[*held]claim{a: {mac: "02:00:00:00:00:01"}}}
	if wait := w.next(); wait != 0 {
		t.Errorf("due in %v, want now", wait)
	}
	due := w.due()
	if len(due) != 1 {
		t.Fatalf("%d claims are due", len(due))
	}
	w.claim(due[0]) // nothing is held: no conflict
	if again := w.due(); len(again) != 0 {
		t.Errorf("%v is due again", again)
	}
	if wait := w.next(); wait < time.Minute {
		t.Errorf("looks again in %v although nothing is left", wait)
	}
}

// TestAnAddressThatStaysHereIsLookedAtAgain: the node shows a conflict for a minute after its last sign.
func TestAnAddressThatStaysHereIsLookedAtAgain(t *testing.T) {
	w := &watch{k: &Kernel{}, here: map[*held]time.Time{{}: time.Now().Add(-hereEvery / 2)}}
	if wait := w.next(); wait > hereEvery/2 || wait < hereEvery/4 {
		t.Errorf("looks again in %v", wait)
	}
}
