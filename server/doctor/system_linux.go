package doctor

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ownClock asks the kernel whether somebody keeps its clock right.
func (v *visit) ownClock() {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	switch {
	case err != nil:
		v.find("clock", "synchronised", Skipped, "", "the kernel does not say: %v", err)
	case state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0:
		v.find("clock", "synchronised", Warning, syncFix+" (in a container: on its host)", "the kernel knows of nobody who keeps this machine's clock right")
	default:
		v.find("clock", "synchronised", OK, "", "the kernel's clock is kept right, to %d ms", max(t.Maxerror/1000, 1))
	}
}

// files looks how many files the node may have open: those of the process that runs, or of one that this user would start.
func (v *visit) files() {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		v.find("net", "open files", Skipped, "", "%v", err)
		return
	}
	most, whose := limit.Max, "a node that this user starts"
	if pid := v.report.PID; v.report.Running && pid > 0 {
		if n, ok := maxFiles(pid); ok {
			most, whose = n, fmt.Sprintf("process %d", pid)
		}
	}
	if most < fewFiles {
		v.find("net", "open files", Warning, "LimitNOFILE=1048576 in its systemd unit, or ulimit -Hn", "%s can have %d files open: each client takes one, and each connection to an instance", whose, most)
		return
	}
	v.find("net", "open files", OK, "", "%s can have %d files open", whose, most)
}

// maxFiles reads the hard limit of a process.
func maxFiles(pid int) (uint64, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, "Max open files")
		if fields := strings.Fields(rest); ok && len(fields) >= 2 {
			if fields[1] == "unlimited" {
				return 1 << 62, true
			}
			n, err := strconv.ParseUint(fields[1], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
