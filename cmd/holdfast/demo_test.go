package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos"
	"github.com/holdfast-lb/holdfast/chaos/ledger"
)

func TestDemoReportSaysWhatWasLost(t *testing.T) {
	good := chaos.Report{Sessions: 1500, Kept: 1500, Before: 700, After: 700, Requests: 9000, Retried: 12, Forged: 30, Hash: "0123456789abcdef"}
	for name, c := range map[string]struct {
		change func(*chaos.Report)
		want   string // in the error; empty: none
	}{
		"nothing":       {func(*chaos.Report) {}, ""},
		"an assignment": {func(r *chaos.Report) { r.Lost, r.After = 1, 699 }, "1 assignments lost"},
		"a request":     {func(r *chaos.Report) { r.Failed = 2 }, "2 requests failed"},
		"equal states":  {func(r *chaos.Report) { r.Hash = "" }, "seed 0"},
		"another promise": {func(r *chaos.Report) {
			r.Broken = 1
			r.Violations = []ledger.Violation{{Rule: ledger.Moved, Detail: "gone"}}
		}, "1 promises broken"},
		"only the display": {func(r *chaos.Report) { r.Provisional = 5 }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := good
			c.change(&r)
			var out bytes.Buffer
			err := printDemoReport(&out, demoStyle{}, &r, time.Second)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			if strings.Contains(out.String(), "nothing was lost") != (c.want == "") {
				t.Errorf("the table says:\n%s", &out)
			}
			if strings.Contains(out.String(), "\x1b") {
				t.Error("colours where there is no terminal")
			}
			for _, v := range r.Violations {
				if !strings.Contains(out.String(), v.String()) {
					t.Errorf("the table does not name %s", v)
				}
			}
		})
	}
}

func TestDemoScreenIsPlainWithoutATerminal(t *testing.T) {
	var out bytes.Buffer
	s := newDemoScreen(&out)
	s.title()
	s.say("leader n1 is killed with SIGKILL")
	s.close()
	s.close()
	if got := out.String(); strings.Contains(got, "\x1b") || !strings.Contains(got, "s  leader n1 is killed with SIGKILL\n") {
		t.Errorf("output %q", got)
	}
}

func TestSampleInstanceNeedsAName(t *testing.T) {
	cmd := newSampleCommand()
	cmd.SetArgs([]string{"--address", "127.0.0.1:0"})
	if err := cmd.Execute(); exitStatus(err) != exitUsage {
		t.Errorf("error %v, exit status %d", err, exitStatus(err))
	}
}
