package proc

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// state is the letter that /proc has for the process: R, S, D, T for stopped, Z; '?' when it is gone.
func (p *Process) state() byte {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid()))
	if err != nil {
		return '?'
	}
	// The second field, the name in parentheses, may itself contain anything (proc_pid_stat(5)).
	_, rest, found := bytes.Cut(stat[bytes.LastIndexByte(stat, ')'):], []byte(") "))
	if !found || len(rest) == 0 {
		return '?'
	}
	return rest[0]
}

// LogPath is the file with the output of the process.
func (p *Process) LogPath() string { return p.spec.Log }

// Tail gives the last lines of the output, of its last MiB at most, each with the name of the process before it. Lines of which
// drop says so are left out; nil drops none.
func (p *Process) Tail(lines int, drop func(line string) bool) string {
	file, err := os.Open(p.spec.Log)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = file.Close() }()
	const most = 1 << 20
	if info, err := file.Stat(); err == nil && info.Size() > most {
		_, _ = file.Seek(-most, io.SeekEnd)
	}
	text, err := io.ReadAll(io.LimitReader(file, most))
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	if drop != nil {
		all = slices.DeleteFunc(all, drop)
	}
	all = all[max(0, len(all)-lines):]
	return p.spec.Name + "| " + strings.Join(all, "\n"+p.spec.Name+"| ")
}
