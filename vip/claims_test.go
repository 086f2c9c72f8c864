package vip

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestAllConflictsAreShown: two machines that claim an address, and one that claims another one, are all named as long as they are heard of, in one order, whoever was heard of last.
func TestAllConflictsAreShown(t *testing.T) {
	claim := func(address, hardware string) Claim {
		a, err := ParseAddress(address)
		if err != nil {
			t.Fatal(err)
		}
		return Claim{Address: a, Hardware: hardware}
	}
	var l claims
	now := Deadline(1)
	want := func(text string) {
		t.Helper()
		if got := l.text(now); got != text {
			t.Errorf("%q, want %q", got, text)
		}
	}
	want("")
	l.note(claim("10.0.0.101/24@eth0", "02:00:00:00:00:03"), now)
	l.note(claim("10.0.0.100/24@eth0", "02:00:00:00:00:02"), now)
	now = now.After(conflictShown / 2)
	for range 3 {
		l.note(claim("10.0.0.100/24@eth0", "02:00:00:00:00:01"), now)
		want("10.0.0.100 is also claimed by 02:00:00:00:00:01 and 02:00:00:00:00:02; 10.0.0.101 is also claimed by 02:00:00:00:00:03")
	}
	now = now.After(conflictShown / 2)
	want("10.0.0.100 is also claimed by 02:00:00:00:00:01")
	now = now.After(conflictShown/2 - 1)
	l.note(claim("fd00::1/64@eth0", ""), now)
	want("10.0.0.100 is also claimed by 02:00:00:00:00:01; fd00::1 is also claimed by another program on this machine")
	now = now.After(1)
	want("fd00::1 is also claimed by another program on this machine")
	now = now.After(time.Hour)
	want("")
	for n := range 100 {
		l.note(claim("10.0.0.100/24@eth0", fmt.Sprintf("02:00:00:00:00:%02x", n)), now)
	}
	if got := l.text(now); len(l) != claimsKept || strings.Count(got, "02:") != claimsKept || !strings.Contains(got, "02:00:00:00:00:63") {
		t.Errorf("%d are remembered: %q", len(l), got)
	}
}
