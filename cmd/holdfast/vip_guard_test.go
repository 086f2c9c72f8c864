package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestTheGuardIsNotRunByHand: it says so, and no help names it.
func TestTheGuardIsNotRunByHand(t *testing.T) {
	var out, errOut bytes.Buffer
	if status := run(t.Context(), []string{"vip-guard"}, strings.NewReader(""), &out, &errOut); status != exitUsage {
		t.Errorf("exit status %d", status)
	}
	if want := "'holdfast serve' starts for itself: there is nothing to run by hand"; !strings.Contains(errOut.String(), want) {
		t.Errorf("%q does not say %q", errOut.String(), want)
	}
	out.Reset()
	if status := run(t.Context(), []string{"--help"}, strings.NewReader(""), &out, &errOut); status != exitDone || strings.Contains(out.String(), "guard") {
		t.Errorf("exit status %d, help %s", status, out.String())
	}
}
