package raftnode

import (
	"testing"
	"time"
)

func TestTroublesAreSaidOnceTheyLast(t *testing.T) {
	var l troubles
	start := time.Unix(1000, 0)
	for _, c := range []struct {
		after time.Duration
		text  string
		want  bool
	}{
		{0, "refused", false},
		{time.Second, "refused", false},
		{3 * time.Second, "refused", true},
		{4 * time.Second, "refused", false},
		{33 * time.Second, "refused", true},
		{34 * time.Second, "another init string", false},
		{37 * time.Second, "another init string", true},
		{38 * time.Second, "", false},
		{39 * time.Second, "refused", false},
	} {
		if got := l.note("n2:7701", c.text, start.Add(c.after)); got != c.want {
			t.Errorf("after %v: %v for %q, want %v", c.after, got, c.text, c.want)
		}
	}
	l.note("n1:7701", "slow", start)
	if got, want := l.String(), "n1:7701: slow; n2:7701: refused"; got != want {
		t.Errorf("lists %q, want %q", got, want)
	}
}
