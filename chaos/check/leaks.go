package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/proc"
)

// Usage is what one node takes of its machine.
type Usage struct {
	Node       string
	Goroutines int
	Files      int // open file descriptors
	InFlight   int // requests that instances are working on, as the node counts them
	// Started tells one process from the next.
	Started float64
}

// slack is how much more than its baseline, or a tenth of it, a node may take and still be as before: connections that are kept for a while.
const slack = 25

// leakPatience is how long a node may take to give back what it took (reliability: 60 s after a fault).
const leakPatience = 60 * time.Second

// leaks compares the nodes with what they were before the load.
func leaks(ctx context.Context, e *Evidence) (v verdict) {
	if len(e.Baseline) == 0 || e.Group == nil {
		v.saw = "nothing was measured"
		v.cannot("nobody measured what there was before the load, so nothing can be said")
		return v
	}
	usage(ctx, e, &v)
	return v
}

// usage waits until no request is under way, since no client waits for one any more, and the nodes take no more than before. What is kept for the next request counts: it has to go, by the nodes'
// own time-outs or because the instances end it (HangUp).
func usage(ctx context.Context, e *Evidence, v *verdict) {
	limited, cancel := context.WithTimeout(ctx, min(leakPatience, 2*e.Patience))
	defer cancel()
	// Any node may lead now, and a leader has more of both.
	before, most := map[string]bool{}, Usage{}
	for _, u := range e.Baseline {
		before[u.Node] = true
		most.Goroutines, most.Files = max(most.Goroutines, u.Goroutines), max(most.Files, u.Files)
	}
	var more []string
	err := proc.Poll(limited, pollEvery, func() error {
		now, err := e.Group.Usage(limited)
		if err != nil {
			return err
		}
		more = nil
		var list []string
		for _, u := range now {
			if u.InFlight > 0 {
				more = append(more, fmt.Sprintf("node %s has %s under way, and no client waits for one", u.Node, count(u.InFlight, "request")))
			}
		}
		if e.HangUp != nil && len(more) == 0 {
			e.HangUp()
		}
		for _, u := range now {
			list = append(list, fmt.Sprintf("%s %d goroutines and %d files", u.Node, u.Goroutines, u.Files))
			if !before[u.Node] {
				continue // it came later: there is nothing to compare it with
			}
			for _, c := range []struct {
				what     string
				was, now int
			}{{"goroutines", most.Goroutines, u.Goroutines}, {"open files", most.Files, u.Files}} {
				if c.now > c.was+max(slack, c.was/10) {
					more = append(more, fmt.Sprintf("node %s has %d %s, before the load no node had more than %d", u.Node, c.now, c.what, c.was))
				}
			}
		}
		v.saw = "as before: " + strings.Join(list, ", ")
		if len(more) > 0 {
			return fmt.Errorf("%s", more[0])
		}
		return nil
	})
	if err == nil {
		return
	}
	v.saw = "more than before the load"
	if len(more) == 0 {
		v.saw = "the nodes could not be asked"
		v.cannot("the nodes could not be asked what they use: %v", err)
	}
	for _, text := range more {
		v.breaks("%s", text)
	}
}

// LeftBehind names what of a run is left on the machine: processes (Alive), and the folder itself. It is to be asked after everything was ended and put away.
func LeftBehind(folder string) []string {
	list := Alive(folder)
	if _, err := os.Lstat(folder); err == nil {
		list = append(list, "folder "+folder)
	}
	return list
}

// endTime is how long what belongs to a process that was ended may take to follow it.
const endTime = 5 * time.Second

// Alive names processes of this harness, or of the program, whose command line, working directory or open files name the run's folder. Who only looks at the files, as a pager does, is no part of the run.
func Alive(folder string) (list []string) {
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	_ = proc.Poll(ctx, 50*time.Millisecond, func() error {
		if list = alive(folder); len(list) > 0 {
			return errors.New("not yet")
		}
		return nil
	})
	return list
}

func alive(folder string) (list []string) {
	folder = filepath.Clean(folder)
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range processes {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() {
			continue
		}
		if why := concerns(dir, folder); why != "" && ours(dir) {
			name, _ := os.ReadFile(filepath.Join(dir, "comm"))
			list = append(list, fmt.Sprintf("process %d (%s, its %s)", pid, strings.TrimSpace(string(name)), why))
		}
	}
	return list
}

// ours says whether a process was started by this one, or by one that was, or is the program by its name.
func ours(dir string) bool {
	environment, _ := os.ReadFile(filepath.Join(dir, "environ"))
	if slices.Contains(strings.Split(string(environment), "\x00"), proc.Mark()) {
		return true
	}
	program, _ := os.Readlink(filepath.Join(dir, "exe"))
	return strings.HasPrefix(filepath.Base(program), "holdfast")
}

// concerns says what of a process names the folder, empty when nothing does or it is gone.
func concerns(dir, folder string) string {
	if line, err := os.ReadFile(filepath.Join(dir, "cmdline")); err == nil && bytes.Contains(line, []byte(folder)) {
		return "command line"
	}
	within := func(path string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }
	if cwd, err := os.Readlink(filepath.Join(dir, "cwd")); err == nil && within(cwd) {
		return "working directory"
	}
	files, _ := os.ReadDir(filepath.Join(dir, "fd"))
	for _, f := range files {
		if target, err := os.Readlink(filepath.Join(dir, "fd", f.Name())); err == nil && within(target) {
			return "open file"
		}
	}
	return ""
}
