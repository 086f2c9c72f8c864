package raftnode

import (
	"strings"
	"testing"
	"time"
)

func TestTimingSum(t *testing.T) {
	for _, name := range []string{"lan", "wan", "fast", ""} {
		s, err := TimingSum(name)
		if err != nil {
			t.Fatal(err)
		}
		if s.Lease+s.RoundTrip+s.Drop > s.Takeover || s.Profile == "" || !strings.Contains(s.String(), s.Takeover.String()) {
			t.Errorf("%q: %+v", name, s)
		}
	}
	if s, _ := TimingSum(""); s.Profile != "lan" {
		t.Errorf("the default is %q", s.Profile)
	}
	if _, err := TimingSum("slow"); err == nil {
		t.Error("the sum of a profile that is none")
	}
	good := timings["lan"]
	for name, spoil := range map[string]func(*timing){
		"the holder lets go too late": func(t *timing) { t.drop += time.Millisecond },
		"no reserve":                  func(t *timing) { t.roundTrip = 0 },
		"no time to drop":             func(t *timing) { t.drop = 0 },
		"a lease that cannot be kept": func(t *timing) { t.renew = t.lease / 3 },
		"no lease":                    func(t *timing) { t.lease = 0 },
	} {
		bad := good
		spoil(&bad)
		if err := bad.sum().check(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
