package proc

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// Spec says what to start.
type Spec struct {
	// Name is for messages.
	Name string
	// Path is the program, Args its arguments without the program's own name.
	Path string
	Args []string
	// Env is added to the environment of this process; secrets belong here, never into Args.
	Env []string
	// Dir is the working directory, default: that of this process.
	Dir string
	// Log is the file to which standard output and standard error are appended.
	Log string
}

// Mark is what a process that this one starts has in its environment, and hands on to those that it starts.
func Mark() string { return fmt.Sprintf("CHAOS_HARNESS=%d", os.Getpid()) }

func (s Spec) command() (*exec.Cmd, *os.File, error) {
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	cmd := exec.Command(s.Path, s.Args...)
	cmd.Env = append(append(os.Environ(), Mark()), s.Env...)
	cmd.Dir = s.Dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return cmd, log, nil
}
