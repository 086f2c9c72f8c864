//go:build !race

package lb

import "testing"

// TestUnrecordedTracesAllocateNothing on the loops.
func TestUnrecordedTracesAllocateNothing(t *testing.T) {
	tr := newTracing(&Tracing{Trust: "all"})
	line := []string{"00-" + aTrace + "-" + aParent + "-00"}
	if n := testing.AllocsPerRun(100, func() {
		c := tr.begin(line, false)
		var b [traceparentLen]byte
		if len(c.appendTo(b[:0])) != traceparentLen {
			t.Error("another length")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
