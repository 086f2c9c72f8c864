//go:build !cgo

package guard

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestTheGuardKeepsNoOtherPrivileges: on every thread. Programs with cgo cannot do that; a release has none.
func TestTheGuardKeepsNoOtherPrivileges(t *testing.T) {
	n := startNode(t, "hold")
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", n.guard))
	if err != nil || len(threads) < 2 {
		t.Fatalf("%d threads, %v", len(threads), err)
	}
	for _, thread := range threads {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/status", n.guard, thread.Name()))
		if err != nil {
			continue // it has ended
		}
		fields := map[string]string{}
		for text := range strings.Lines(string(data)) {
			name, value, _ := strings.Cut(text, ":")
			fields[name] = strings.TrimSpace(value)
		}
		for _, set := range []string{"CapPrm", "CapEff", "CapInh", "CapAmb"} {
			bits, err := strconv.ParseUint(fields[set], 16, 64)
			if err != nil || bits&^(1<<unix.CAP_NET_ADMIN|1<<unix.CAP_NET_RAW) != 0 {
				t.Errorf("thread %s has %s %s", thread.Name(), set, fields[set])
			}
		}
		if fields["NoNewPrivs"] != "1" {
			t.Errorf("thread %s may get new privileges", thread.Name())
		}
	}
}
