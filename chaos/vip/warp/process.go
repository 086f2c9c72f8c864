package warp

import (
	"bufio"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// function is where machine code is in a process.
type function struct{ start, size int64 }

// findFunction finds the kernel's clock_gettime in a process.
func findFunction(pid int, mem io.ReaderAt) (function, error) {
	maps, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return function{}, err
	}
	defer func() { _ = maps.Close() }()
	var from, to int64
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		if strings.HasSuffix(lines.Text(), "[vdso]") {
			if _, err := fmt.Sscanf(lines.Text(), "%x-%x ", &from, &to); err != nil {
				return function{}, fmt.Errorf("%q: %w", lines.Text(), err)
			}
		}
	}
	if to <= from {
		return function{}, errors.New("the kernel has mapped no code into it")
	}
	image := make([]byte, to-from)
	if _, err := mem.ReadAt(image, from); err != nil {
		return function{}, fmt.Errorf("read the kernel's code: %w", err)
	}
	file, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return function{}, err
	}
	symbols, err := file.DynamicSymbols()
	if err != nil {
		return function{}, err
	}
	for _, s := range symbols {
		if s.Name == "__vdso_clock_gettime" && s.Value+s.Size <= uint64(len(image)) {
			return function{from + int64(s.Value), int64(s.Size)}, nil
		}
	}
	return function{}, errors.New("the kernel's code has no __vdso_clock_gettime")
}

// standingStill stops the process at a moment when none of its threads is in the function, does what is to be done, and lets it go on.
func standingStill(pid int, avoid function, do func() error) error {
	end := time.Now().Add(5 * time.Second)
	for {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			return err
		}
		inside, err := threadInside(pid, avoid, end)
		if err == nil && !inside {
			err = do()
		}
		if again := syscall.Kill(pid, syscall.SIGCONT); err != nil || again != nil || !inside {
			return errors.Join(err, again)
		}
		if time.Now().After(end) {
			return errors.New("some thread is always reading the clock")
		}
	}
}

// threadInside waits until all threads have stopped, and says whether one of them is in the function.
func threadInside(pid int, f function, end time.Time) (bool, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", pid))
	if err != nil || len(tasks) == 0 {
		return false, os.ErrProcessDone
	}
	for _, path := range tasks {
		for {
			text, err := os.ReadFile(path)
			if err != nil {
				break // the thread has ended
			}
			line := strings.TrimSpace(string(text))
			if line != "running" {
				fields := strings.Fields(line)
				var at int64
				if _, err := fmt.Sscanf(fields[len(fields)-1], "0x%x", &at); err != nil {
					return false, fmt.Errorf("%q: %w", line, err)
				}
				if at >= f.start && at < f.start+f.size {
					return true, nil
				}
				break
			}
			if time.Now().After(end) {
				return false, errors.New("a thread does not stop")
			}
		}
	}
	return false, nil
}
