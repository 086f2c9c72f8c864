package main

import (
	"strings"
	"testing"
	"time"
)

func TestSizesForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 5 << 20: "5.0 MiB", 3 << 30: "3.0 GiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}

// TestMeterIsBrief: one line every ten seconds, and on a terminal one that changes and goes.
func TestMeterIsBrief(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	run := func(terminal bool) string {
		var out strings.Builder
		m := &meter{w: &out, what: "backup", terminal: terminal, now: func() time.Time { return now }, start: now, last: now}
		for range 100 { // a MiB every 250 ms: 25 s
			now = now.Add(250 * time.Millisecond)
			_, _ = m.Write(make([]byte, 1<<20))
		}
		m.done()
		return out.String()
	}
	if got := run(false); got != "backup: 40.0 MiB, 4.0 MiB/s\nbackup: 80.0 MiB, 4.0 MiB/s\n" {
		t.Errorf("%q", got)
	}
	if got := run(true); strings.Count(got, "\r") != 101 || strings.Contains(got, "\n") || !strings.HasSuffix(got, "100.0 MiB, 4.0 MiB/s\r\x1b[K") {
		t.Errorf("%q", got)
	}
}

// TestRestorePlanNamesWhatIsLost: session data and keys that applications wrote after the archive are as lost as assignments, and somebody is to know that before --accept-loss.
func TestRestorePlanNamesWhatIsLost(t *testing.T) {
	var out strings.Builder
	if err := writeRegroupPlan(&out, regrouped{Archive: archiveView{Sessions: new(int)}}); err != nil {
		t.Fatal(err)
	}
	replaced, stays, _ := strings.Cut(out.String(), ";")
	for _, want := range []string{"assignments", "session data and keys", "configuration", "quiesces", "schedules", "workflows"} {
		if !strings.Contains(replaced, want) {
			t.Errorf("%s: not said to be replaced: %s", want, out.String())
		}
	}
	for _, want := range []string{"access tokens", "certificates", "files", "history", "events"} {
		if !strings.Contains(stays, want) {
			t.Errorf("%s: not said to stay: %s", want, out.String())
		}
	}
}

// TestTimeOutOfWhatTakesLong: a backup, a new program or a new leader is not given up after the 30 seconds of other commands, and --help does not say so.
func TestTimeOutOfWhatTakesLong(t *testing.T) {
	for _, args := range [][]string{{"backup", "create"}, {"upgrade-binary"}, {"node", "transfer"}, {"status"}} {
		_, out, _ := command(t, "http://127.0.0.1:1", append(args, "--help")...)
		if _, line, _ := strings.Cut(out, "--timeout TIME"); !strings.Contains(line, "go on for longer unless it is set (default 30s)") {
			t.Errorf("%q: %s", args, out)
		}
	}
}
