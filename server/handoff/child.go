package handoff

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Program is what to start.
type Program struct {
	// Path is the program, Args its arguments without its own name.
	Path string
	Args []string
	// Env is its environment; nil means that of this process. What tells this process of sockets of its own is left out.
	Env []string
	// Out takes its standard output and error; nil: those of this process.
	Out *os.File
}

// Child is a new process as the running one sees it.
type Child struct {
	Hello Hello

	conn conn
	// Reports is the stream to it; nil before Give.
	Reports net.Conn
	proc    *os.Process
	over    chan struct{} // closed when the process has ended
	end     error         // how, once it has

	kill sync.Once
}

// Start starts a program and returns when it has said who it is, with ctx's error when that takes too long, or with its own words when it says that it cannot. After an error it
// has been killed.
func Start(ctx context.Context, p Program) (*Child, error) {
	ours, theirs, err := pair("unixpacket")
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := exec.Command(p.Path, p.Args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if p.Out != nil {
		cmd.Stdout, cmd.Stderr = p.Out, p.Out
	}
	cmd.Env = environment(p.Env)
	cmd.ExtraFiles = []*os.File{theirs} // descriptor 3
	if err := cmd.Start(); err != nil {
		_ = ours.Close()
		return nil, fmt.Errorf("start %s: %w", p.Path, err)
	}
	_ = theirs.Close() // or its end would not show
	c := &Child{conn: conn{ours.(*net.UnixConn)}, proc: cmd.Process, over: make(chan struct{})}
	go func() {
		c.end = cmd.Wait()
		close(c.over)
	}()
	m, err := c.hear(ctx)
	if err == nil && m.Kind != kindHello {
		err = fmt.Errorf("%w: %s instead of hello", errMessage, m.Kind)
	}
	if err == nil && m.Hello.Protocol != Protocol {
		err = fmt.Errorf("it speaks version %d of the hand-off, this program version %d: restart the node instead", m.Hello.Protocol, Protocol)
	}
	if err != nil {
		c.Kill()
		return nil, fmt.Errorf("%s does not get ready: %w", p.Path, err)
	}
	c.Hello = *m.Hello
	return c, nil
}

// environment is what the new process gets: its descriptor, and nothing of the sockets and of the watchdog that the service manager has given to this process, by its id.
func environment(env []string) []string {
	if env == nil {
		env = os.Environ()
	}
	env = slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return name == variable || name == "LISTEN_PID" || name == "LISTEN_FDS" || name == "LISTEN_FDNAMES" || name == "LISTEN_PIDFDID" || name == "WATCHDOG_PID"
	})
	return append(env, variable+"="+strconv.Itoa(firstInherited))
}

// hear waits for the child's next word. A failure of the child, and its end, are errors.
func (c *Child) hear(ctx context.Context) (message, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	m, fd, err := c.conn.receive()
	if fd >= 0 {
		closeDescriptor(fd) // nothing is expected from it
	}
	switch {
	case err == nil && m.Kind == kindFailed:
		return m, errors.New(m.Text)
	case err == nil:
		return m, nil
	case ctx.Err() != nil:
		return m, fmt.Errorf("it has not answered in time: %w", context.Cause(ctx))
	case gone(err):
		return m, c.ended()
	}
	return m, err
}

// endWait is how long a child that has closed its socket may take to end.
const endWait = 5 * time.Second

// ended says how the child has ended; its socket is closed.
func (c *Child) ended() error {
	wait := time.NewTimer(endWait)
	defer wait.Stop()
	select {
	case <-c.over:
	case <-wait.C:
		return errors.New("it has closed its socket without a word")
	}
	if c.end == nil {
		return errors.New("it has ended without a word (exit status 0)")
	}
	return fmt.Errorf("it has ended: %w", c.end)
}

// Give hands the sockets over, ways only to a child that knows them, and lets it go: from now on it uses what this process has let go of. It serves when Serving says so.
func (c *Child) Give(s *Sockets) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.list {
		if s.list[i].network == "unix" && !c.Hello.Ways {
			continue
		}
		if err := c.conn.send(message{Kind: kindSocket, Name: s.list[i].name, Network: s.list[i].network}, s.list[i].descriptor()); err != nil {
			return c.untold(err)
		}
	}
	ours, theirs, err := pair("unix")
	if err != nil {
		return err
	}
	defer theirs.Close()
	c.Reports = ours
	if err := c.conn.sendFile(message{Kind: kindReports}, theirs); err != nil {
		return c.untold(err)
	}
	if err := c.conn.send(message{Kind: kindGo, Yields: true}, -1); err != nil {
		return c.untold(err)
	}
	return nil
}

// untold prefers the child's own words about why it does not listen any more.
func (c *Child) untold(err error) error {
	ctx, cancel := context.WithTimeout(context.Background(), endWait)
	defer cancel()
	if _, why := c.hear(ctx); why != nil && gone(err) {
		return why
	}
	return err
}

// Serving returns nil when the child serves.
func (c *Child) Serving(ctx context.Context) error {
	m, err := c.hear(ctx)
	if err == nil && m.Kind != kindServing {
		err = fmt.Errorf("%w: %s instead of serving", errMessage, m.Kind)
	}
	return err
}

// Yield tells a child that serves that this process answers nothing on the admin listener any more.
func (c *Child) Yield() { _ = c.conn.Close() }

// Kill ends the child with SIGKILL and waits until it is gone: what it had open is free then.
func (c *Child) Kill() {
	c.kill.Do(func() {
		_ = c.proc.Kill() // the only error is that it has ended
		<-c.over
		c.part()
	})
}

// Part lets the child live on without this process.
func (c *Child) Part() { c.kill.Do(c.part) }

func (c *Child) part() {
	_ = c.conn.Close()
	if c.Reports != nil {
		_ = c.Reports.Close()
	}
}
