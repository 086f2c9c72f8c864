package warp

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// The test binary is its own child: it says what time it is, and how long ago it began by the monotonic clock, whenever it gets a line.
func TestMain(m *testing.M) {
	if os.Getenv("HOLDFAST_TEST_CHILD") == "" {
		os.Exit(m.Run())
	}
	began := time.Now()
	for busy := range 4 { // threads that read the clock all the time
		go func() {
			for time.Since(began) >= 0 {
				_ = busy
			}
		}()
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		now := time.Now()
		fmt.Println(now.Unix(), now.Sub(began).Milliseconds())
	}
}

func TestOneProcessHasAnotherTime(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "HOLDFAST_TEST_CHILD=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	answers := bufio.NewReader(stdout)
	began := time.Now()
	ask := func() (off, monotonic time.Duration) {
		t.Helper()
		if _, err := fmt.Fprintln(stdin); err != nil {
			t.Fatal(err)
		}
		line, err := answers.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		var unix, ms int64
		if _, err := fmt.Sscan(line, &unix, &ms); err != nil {
			t.Fatal(err)
		}
		return time.Until(time.Unix(unix, 0)).Round(10 * time.Second), time.Duration(ms) * time.Millisecond
	}
	if off, _ := ask(); off != 0 {
		t.Fatalf("off by %v before", off)
	}
	c, err := Take(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for _, want := range []time.Duration{0, time.Hour, -time.Hour, 0} {
		if err := c.Set(want); err != nil {
			t.Fatal(err)
		}
		off, monotonic := ask()
		if off != want {
			t.Errorf("off by %v, want %v", off, want)
		}
		if monotonic < 0 || monotonic > time.Since(began) {
			t.Errorf("the monotonic clock went to %v after %v", monotonic, time.Since(began))
		}
	}
	if _, err := Take(cmd.Process.Pid); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("taken twice: %v", err)
	}
	if _, err := Take(1 << 30); err == nil {
		t.Error("a process that is not there has a clock")
	}
}
