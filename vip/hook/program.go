package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-lb/holdfast/vip"
)

const (
	// maxOutput bounds what of the output of one run gets into the log, in bytes.
	maxOutput = 8 << 10
	// outputDelay is how long the output of a program that has ended may stay open.
	outputDelay = 2 * time.Second
)

// checkProgram refuses a program that cannot be run, or that somebody else could replace: it would run with the node's rights.
func checkProgram(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("the hook %q is not an absolute path", path)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("the hook: %w", err)
	}
	for _, p := range []string{filepath.Dir(path), filepath.Dir(real), real} {
		info, err := os.Stat(p)
		if err != nil {
			return fmt.Errorf("the hook: %w", err)
		}
		if err := onlyOurs(p, info); err != nil {
			return fmt.Errorf("the hook %s: %w", path, err)
		}
		if p != real {
			continue
		}
		if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
			return fmt.Errorf("the hook %s is not a program: it must be a file that may be executed (chmod +x %s)", path, real)
		}
	}
	return nil
}

// onlyOurs refuses what others than root and the node's own user can write to.
func onlyOurs(path string, info fs.FileInfo) error {
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s can be written to by others than its owner (mode %04o), who could have this node run anything: chmod go-w %s", path, info.Mode().Perm(), path)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid != 0 && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to the user %d, who could have this node run anything: it must belong to root or to the node's own user", path, stat.Uid)
	}
	return nil
}

// program is what is run, and what it is told.
type program struct {
	path  string
	node  string
	addrs []vip.Address
	log   *slog.Logger
}

// run runs the program once, without a shell and with an environment of its own, and logs its output. When ctx ends, or this process does, the program and
// what it started are killed (Main).
func (p *program) run(ctx context.Context, word string) error {
	if err := checkProgram(p.path); err != nil { // it may have changed since
		return err
	}
	out := &output{}
	limit := time.Duration(0)
	if end, ok := ctx.Deadline(); ok {
		limit = max(time.Until(end), 1)
	}
	cmd := exec.CommandContext(ctx, self(), Command, limit.String(), p.path, word)
	cmd.Args[0] = "holdfast"
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = filepath.Dir(p.path), p.environment(), out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = outputDelay
	err := p.watched(cmd)
	for text := range strings.Lines(out.String()) {
		p.log.Info("output of the virtual addresses' hook", "argument", word, "line", strings.TrimRight(text, "\r\n"))
	}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, exec.ErrWaitDelay): // it has ended well; what it left behind has its output open
		return nil
	case errors.As(err, &exit):
		return fmt.Errorf("the hook %s %s ended with %s%s", p.path, word, exit.ProcessState, out.last())
	case err != nil:
		return fmt.Errorf("the hook %s %s: %w", p.path, word, err)
	}
	return nil
}

// watched runs cmd, and lets it see the end of this process.
func (p *program) watched(cmd *exec.Cmd) error {
	theirs, ours, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = ours.Close() }() // not before cmd has ended
	cmd.ExtraFiles = []*os.File{theirs}
	err = cmd.Start()
	_ = theirs.Close()
	if err != nil {
		return err
	}
	return cmd.Wait()
}

// environment is the program's whole environment: nothing of the node's own, which may hold secrets, but where programs are found.
func (p *program) environment() []string {
	names := make([]string, len(p.addrs))
	for i, a := range p.addrs {
		names[i] = a.String()
	}
	env := []string{"HOLDFAST_VIP=" + strings.Join(names, " "), "HOLDFAST_NODE=" + p.node}
	for _, name := range []string{"PATH", "HOME", "LANG", "TZ"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// output keeps the first bytes and forgets the rest. It belongs to one exec.Cmd, which writes from one goroutine when both streams are the same.
type output struct {
	buf bytes.Buffer
	cut bool
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	room := maxOutput - o.buf.Len()
	if len(p) > room {
		o.cut = true
		o.buf.Write(p[:max(room, 0)])
		return len(p), nil
	}
	return o.buf.Write(p)
}

// String gives what was kept.
func (o *output) String() string {
	if o.cut {
		return o.buf.String() + "\n(more was cut off)\n"
	}
	return o.buf.String()
}

// last gives the last line, to stand behind an error.
func (o *output) last() string {
	lines := strings.Split(strings.TrimSpace(o.buf.String()), "\n")
	if text := strings.TrimSpace(lines[len(lines)-1]); text != "" {
		return ": " + text[:min(len(text), 200)]
	}
	return ""
}
