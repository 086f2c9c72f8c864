package server

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/workflow"
)

// programs are the hooks of the kind exec:NAME.
type programs struct {
	// dir gives the directory that they are in (--hook-dir); empty: there are none.
	dir func() string
	log *slog.Logger
	// outputDelay is how long the output of a program that has ended may stay open; 0: killDelay.
	outputDelay time.Duration
}

const (
	// maxHookOutput bounds what of a program's output gets into the log.
	maxHookOutput = 8 << 10
	// killDelay is how long a program may take to end after its time is over and its group was told to.
	killDelay = 5 * time.Second
)

// run runs a program: no shell, a name without a path, an environment of its own. When ctx ends, the program and what it started are ended.
func (p programs) run(ctx context.Context, name string, c *workflow.Call) workflow.Outcome {
	final := func(format string, args ...any) workflow.Outcome {
		return workflow.Outcome{Failure: fmt.Sprintf(format, args...), Final: true}
	}
	dir := p.dir()
	if dir == "" {
		return final("the leading node was started without --hook-dir, so it has no program %s", name)
	}
	if name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return final("%q is no name of a program", name)
	}
	path := filepath.Join(dir, name)
	if !executable(dir, name) {
		return final("the hook directory of the leading node has no executable program %s", name)
	}
	out := &hookOutput{limit: maxHookOutput}
	t := c.Target
	cmd := exec.CommandContext(ctx, path, c.Step, t.Cluster, t.Name())
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, hookEnv(c), out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = cmp.Or(p.outputDelay, killDelay)
	err := cmd.Run()
	for line := range strings.Lines(out.String()) {
		p.log.Info("output of a workflow's program", "workflow", c.Workflow, "program", name, "line", strings.TrimRight(line, "\r\n"))
	}
	if errors.Is(err, exec.ErrWaitDelay) { // it has ended well
		p.log.Warn("what a workflow's program left behind still has its output open, which is read no more", "workflow", c.Workflow, "program", name)
		err = nil
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return workflow.Outcome{}
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return final("the program %s took longer than %v and was ended", name, c.Timeout)
	case ctx.Err() != nil:
		return workflow.Outcome{Unknown: true}
	case errors.As(err, &exit):
		return final("the program %s ended with %s", name, exit.ProcessState)
	}
	return final("the program %s: %v", name, err)
}

// hookEnv is the whole environment of a program: nothing of the node's own, which may hold secrets, but where programs are found.
func hookEnv(c *workflow.Call) []string {
	env := []string{
		"HOLDFAST_WORKFLOW=" + c.Workflow, "HOLDFAST_WORKFLOW_KIND=" + c.Kind, "HOLDFAST_WORKFLOW_STEP=" + c.Step, "HOLDFAST_WORKFLOW_KEY=" + c.Key,
		"HOLDFAST_WORKFLOW_ATTEMPT=" + strconv.Itoa(c.Attempt), "HOLDFAST_WORKFLOW_CLUSTER=" + c.Target.Cluster,
		"HOLDFAST_WORKFLOW_INSTANCE=" + c.Target.Instance, "HOLDFAST_WORKFLOW_HOST=" + c.Target.Host, "HOLDFAST_WORKFLOW_CONTEXT_ROOT=" + c.Target.ContextRoot,
	}
	for _, name := range []string{"PATH", "HOME", "LANG", "TZ"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// hookOutput keeps the first bytes and forgets the rest. It belongs to one exec.Cmd, which writes from one goroutine when both streams are the same.
type hookOutput struct {
	buf   bytes.Buffer
	limit int
	cut   bool
}

// Write implements io.Writer.
func (b *hookOutput) Write(p []byte) (int, error) {
	room := b.limit - b.buf.Len()
	if len(p) > room {
		b.cut = true
		b.buf.Write(p[:max(room, 0)])
		return len(p), nil
	}
	return b.buf.Write(p)
}

// String gives what was kept.
func (b *hookOutput) String() string {
	if b.cut {
		return b.buf.String() + "\n(more was cut off)\n"
	}
	return b.buf.String()
}
