package rivals

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestTable(t *testing.T) {
	table := NewTable([]string{Base, "holdfast", "nginx"})
	for _, f := range []float64{30, 10, 20} {
		table.Add("1 KiB", Base, f)
	}
	for _, f := range []float64{14, 10} {
		table.Add("1 KiB", "holdfast", f)
	}
	want := "| | haproxy-st | holdfast | nginx |\n|---|---|---|---|\n| 1 KiB | 20.0 | 12.0 (0.60) | - |\n"
	if got := table.String(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	builds := NewTable([]string{"before", "holdfast"})
	builds.Add("1 KiB", "before", 8)
	builds.Add("1 KiB", "holdfast", 6)
	if got, want := builds.String(), "| | before | holdfast |\n|---|---|---|\n| 1 KiB | 8.0 | 6.0 (0.75) |\n"; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// TestProcessorTime: a process that works is told from one that sleeps, and its children count.
func TestProcessorTime(t *testing.T) {
	if os.Getenv("RIVALS_WORK") != "" {
		for used := time.Duration(0); used < 300*time.Millisecond; { // of the processor: by the clock, a busy machine leaves nothing of it
			var err error
			if used, err = processorTime([]int{os.Getpid()}); err != nil {
				os.Exit(1)
			}
		}
		os.Exit(0)
	}
	idle, err := processorTime([]int{os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", `"$0" -test.run TestProcessorTime & wait; exec sleep 60`, os.Args[0])
	cmd.Env = append(os.Environ(), "RIVALS_WORK=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	deadline := time.Now().Add(20 * time.Second)
	for most := time.Duration(0); most < 100*time.Millisecond; {
		if time.Now().After(deadline) {
			t.Fatalf("the work of a child was not seen: %v", most)
		}
		used, err := processorTime(tree(cmd.Process.Pid))
		if err == nil { // else the child has just ended
			most = max(most, used)
		}
	}
	if again, err := processorTime([]int{os.Getpid()}); err != nil || again < idle {
		t.Errorf("%v, then %v (%v)", idle, again, err)
	}
	if memory, err := proportionalMemory([]int{os.Getpid()}); err != nil || memory < 1<<20 {
		t.Errorf("memory %d, %v", memory, err)
	}
	if _, err := processorTime([]int{1 << 30}); err == nil || !strings.Contains(err.Error(), "/proc/") {
		t.Errorf("no process: %v", err)
	}
}
