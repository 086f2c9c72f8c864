package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestNotRunByHand: what a node starts for itself says so, and no help names it.
func TestNotRunByHand(t *testing.T) {
	var out, errOut bytes.Buffer
	for want, args := range map[string][]string{
		"'holdfast serve' starts for itself: there is nothing to run by hand": {"vip-guard"},
		"it is not to be run by hand":                                         {"vip-hook", "0s", "/bin/false", "taken"},
	} {
		errOut.Reset()
		if status := run(t.Context(), args, strings.NewReader(""), &out, &errOut); status != exitUsage || !strings.Contains(errOut.String(), want) {
			t.Errorf("exit status %d, %q does not say %q", status, errOut.String(), want)
		}
	}
	out.Reset()
	if status := run(t.Context(), []string{"--help"}, strings.NewReader(""), &out, &errOut); status != exitDone || strings.Contains(out.String(), "guard") || strings.Contains(out.String(), "vip-hook") {
		t.Errorf("exit status %d, help %s", status, out.String())
	}
}
