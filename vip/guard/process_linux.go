package guard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

const (
	// startTime is how long a child may take from its start until it has opened the machine.
	startTime = 10 * time.Second
	// answerTime is how long any request may take, beyond what it asks to wait: packet filters are changed in milliseconds.
	answerTime = 5 * time.Second
	// goodbyeTime is how long a child may take to end after it has answered a goodbye.
	goodbyeTime = 3 * time.Second
)

// process is one child, seen from the parent.
type process struct {
	conn  *conn
	cmd   *exec.Cmd
	notes func(note)
	log   *slog.Logger
	ready chan error    // one: nil, or why it did not open the machine
	ended chan struct{} // its end of the socket is closed, or it sends nonsense
	gone  chan struct{} // the process has ended and is reaped

	mu      sync.Mutex
	lastID  uint32
	pending map[uint32]chan answer // nil when ended
}

// startProcess starts a child and waits until it has the machine.
func startProcess(ctx context.Context, o Options, notes func(note)) (*process, error) {
	c, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	cmd := command(o)
	cmd.ExtraFiles = []*os.File{theirs}
	if o.Listener != nil {
		cmd.ExtraFiles = append(cmd.ExtraFiles, o.Listener)
	}
	cmd.Stderr = &lineLog{log: o.Logger}
	cmd.WaitDelay = time.Second
	err = cmd.Start()
	if err = errors.Join(err, theirs.Close()); err != nil {
		if cmd.Process != nil {
			_ = cmd.Process.Kill()
		}
		return nil, errors.Join(fmt.Errorf("start the guard process: %w", err), c.close())
	}
	p := &process{
		conn: c, cmd: cmd, notes: notes, log: o.Logger, ready: make(chan error, 1), ended: make(chan struct{}), gone: make(chan struct{}),
		pending: map[uint32]chan answer{},
	}
	go p.reap()
	go p.receive()
	h := hello{addresses: o.Addresses, lease: o.KernelLease, listener: o.Listener != nil}
	if err := c.send(frame{kind: kindHello, body: h.encode()}); err != nil {
		p.log.Debug("the guard process takes no hello", "error", err) // it has ended, as its end of the socket will tell
	}
	timeout := time.NewTimer(startTime)
	defer timeout.Stop()
	select {
	case err = <-p.ready:
	case <-p.ended:
		select {
		case err = <-p.ready: // it said why
		default:
			err = errors.New("it ended before it was ready")
		}
	case <-timeout.C:
		err = fmt.Errorf("it is not ready after %v", startTime)
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return nil, p.failed(err)
	}
	return p, nil
}

func (p *process) failed(err error) error {
	p.kill()
	<-p.gone
	return fmt.Errorf("the guard process: %w", err)
}

// command is how the child is run: in a process group of its own, so that Ctrl-C means the node alone, and without the node's environment, which may hold
// secrets.
func command(o Options) *exec.Cmd {
	argv := o.Command
	path := ""
	if len(argv) > 0 {
		path = argv[0]
	} else {
		path = "/proc/self/exe"
		if _, err := os.Stat(path); err != nil {
			if exe, err := os.Executable(); err == nil {
				path = exe
			}
		}
		argv = []string{"holdfast", "vip-guard"}
	}
	return &exec.Cmd{
		Path: path, Args: argv, Dir: "/", Env: []string{"GOMAXPROCS=2"}, SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
}

// reap waits for the process's end.
func (p *process) reap() {
	err := p.cmd.Wait()
	if err != nil {
		p.log.Debug("the guard process has ended", "how", err)
	}
	close(p.gone)
}

// receive takes what the child sends, until it ends.
func (p *process) receive() {
	defer func() {
		p.mu.Lock()
		waiting := p.pending
		p.pending = nil
		p.mu.Unlock()
		for _, ch := range waiting {
			ch <- answer{err: ErrLost}
		}
		close(p.ended)
		_ = p.conn.close()
	}()
	for {
		f, err := p.conn.receive()
		if err == nil {
			err = p.take(f)
		}
		if err != nil {
			p.log.Debug("the guard's frames end", "error", err)
			return
		}
	}
}

// take does what a frame of the child asks for.
func (p *process) take(f frame) error {
	switch f.kind {
	case kindReady:
		if err := decodeReady(f.body); err != nil {
			return err
		}
		select {
		case p.ready <- nil:
		default:
			return errors.New("it says twice that it is ready")
		}
	case kindDone:
		a, err := decodeAnswer(f.body)
		if err != nil {
			return err
		}
		if f.id == 0 { // the answer to the hello
			select {
			case p.ready <- errors.Join(a.err):
			default:
			}
			return nil
		}
		p.mu.Lock()
		ch := p.pending[f.id]
		delete(p.pending, f.id)
		p.mu.Unlock()
		if ch != nil { // else the caller does not wait any more
			ch <- a
		}
	case kindEvent:
		n, err := decodeNote(f.body)
		if err != nil {
			return err
		}
		p.notes(n)
	case kindLog:
		l, err := decodeLine(f.body)
		if err != nil {
			return err
		}
		p.log.Log(context.Background(), l.level, "the guard process says", "text", l.text)
	default:
		return fmt.Errorf("a child does not send frames of kind %d", f.kind)
	}
	return nil
}

// call sends a request and waits for its answer, for limit at most: errStuck after it.
func (p *process) call(ctx context.Context, k kind, body []byte, limit time.Duration) (answer, error) {
	ch := make(chan answer, 1)
	p.mu.Lock()
	if p.pending == nil {
		p.mu.Unlock()
		return answer{}, ErrLost
	}
	p.lastID++
	if p.lastID == 0 { // ids come around; 0 is none
		p.lastID++
	}
	id := p.lastID
	p.pending[id] = ch
	err := p.conn.send(frame{kind: k, id: id, body: body}) // in the order of their ids
	p.mu.Unlock()
	if err != nil {
		p.forget(id)
		return answer{}, fmt.Errorf("%w (%w)", ErrLost, err)
	}
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	select {
	case a := <-ch:
		return a, a.err
	case <-timeout.C:
		err = errStuck
	case <-ctx.Done():
		err = ctx.Err()
	}
	p.forget(id)
	return answer{}, err
}

var errStuck = errors.New("the guard process does not answer")

func (p *process) forget(id uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pending, id)
}

// kill ends the process, stopped or not. What it has left on the machine is to be taken off.
func (p *process) kill() { _ = p.cmd.Process.Kill() } // an error says that it has ended

// lineLog logs what a child writes to its standard error: the last words of a runtime that gives up.
type lineLog struct {
	log  *slog.Logger
	rest []byte
}

// maxLine cuts what has no end of line, in bytes.
const maxLine = 4 << 10

// Write implements io.Writer; exec.Cmd calls it from one goroutine.
func (l *lineLog) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	for {
		end := bytes.IndexByte(l.rest, '\n')
		if end < 0 && len(l.rest) > maxLine {
			end = maxLine
		}
		if end < 0 {
			return len(b), nil
		}
		l.log.Error("the guard process wrote", "line", string(l.rest[:end]))
		l.rest = l.rest[min(end+1, len(l.rest)):]
	}
}
