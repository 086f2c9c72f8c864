package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/vip"
)

// The descriptors that the child gets from its parent.
const (
	socketFD   = 3
	listenerFD = 4
)

const (
	// helloTime is how long the child waits to be told what it is for.
	helloTime = 5 * time.Second
	// watchAgain is how soon watching starts anew after a failure.
	watchAgain = time.Second
	// closeTime is how long the machine may take to give things back, at the very end.
	closeTime = time.Second
)

// Main is the child. It returns when the parent is gone, or says goodbye, and no address is left. An error is ErrByHand, or why it ended otherwise. It
// changes the whole process: signals, privileges, priority. open opens the machine; nil: vip/kernel's.
func Main(open OpenFunc) error {
	if open == nil {
		open = openKernel
	}
	if kind, err := unix.GetsockoptInt(socketFD, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_SEQPACKET {
		return ErrByHand
	}
	c, err := newConn(os.NewFile(socketFD, "guard's socket"))
	if err != nil {
		return err
	}
	// It ends with its parent. A signal for the whole process group or service means the parent, which may need the addresses to the end.
	// SIGABRT is what a service manager's watchdog sends.
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGABRT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTSTP)
	logger := func(level slog.Level) func(string, ...any) {
		return func(format string, args ...any) {
			// What cannot be told is lost: nothing here waits for a reader.
			_ = c.sendSpare(frame{kind: kindLog, body: line{level, fmt.Sprintf(format, args...)}.encode()})
		}
	}
	settle(logger(slog.LevelInfo))
	id, h, err := awaitHello(c)
	if err != nil {
		return err
	}
	release := func() {}
	if h.listener {
		release = closer(os.NewFile(listenerFD, "peer listener"))
	}
	machine, err := open(h.addresses, logger(slog.LevelInfo))
	if err != nil {
		return errors.Join(err, c.send(frame{kind: kindDone, id: id, body: answer{err: err, free: true}.encode()}))
	}
	return serve(c, id, h, machine, release, logger(slog.LevelWarn))
}

// closer closes f once.
func closer(f *os.File) func() {
	return func() { _ = f.Close() } // an error says that it is closed
}

func awaitHello(c *conn) (uint32, hello, error) {
	if err := c.sock.SetReadDeadline(time.Now().Add(helloTime)); err != nil {
		return 0, hello{}, err
	}
	f, err := c.receive()
	if err != nil {
		return 0, hello{}, fmt.Errorf("wait for the hello: %w", err)
	}
	if f.kind != kindHello {
		return 0, hello{}, fmt.Errorf("the first frame is of kind %d, not the hello", f.kind)
	}
	h, err := decodeHello(f.body)
	if err != nil {
		return 0, hello{}, err
	}
	return f.id, h, c.sock.SetReadDeadline(time.Time{})
}

// serve runs the loop between the parent and the machine.
func serve(c *conn, helloID uint32, h hello, machine Machine, release func(), logf func(string, ...any)) error {
	ring, err := newBootAlarm()
	if err != nil {
		return err
	}
	w := &warden{
		machine: machine, now: vip.Now, lifetime: h.lease, errands: newErrands(), logf: logf,
		note: func(n note) { _ = c.sendSpare(frame{kind: kindEvent, body: n.encode()}) },
	}
	w.answer = func(id uint32, a answer) {
		a.free = !w.present
		_ = c.send(frame{kind: kindDone, id: id, body: a.encode()}) // a parent that does not read gets no answer
	}
	ctx, cancel := context.WithCancel(context.Background())
	events, watched := make(chan vip.Event), make(chan struct{})
	go func() {
		defer close(watched)
		watch(ctx, machine, events, logf)
	}()
	if err := c.send(frame{kind: kindReady, id: helloID, body: encodeReady()}); err != nil {
		logf("answer the hello: %v", err) // the parent is gone, as the loop will see
	}
	err = (&loop{warden: w, alarm: ring, frames: receiveAll(c, logf), events: events, release: release}).run()
	cancel()
	done := make(chan error, 1)
	go func() {
		<-watched
		done <- machine.Close()
	}()
	select {
	case cerr := <-done:
		err = errors.Join(err, cerr)
	case <-time.After(closeTime):
		err = errors.Join(err, fmt.Errorf("the machine is not closed after %v", closeTime))
	}
	return errors.Join(err, ring.close(), c.close())
}

// receiveAll hands on frames until the parent is gone, or sends what is no frame.
func receiveAll(c *conn, logf func(string, ...any)) <-chan frame {
	frames := make(chan frame)
	go func() {
		defer close(frames)
		for {
			f, err := c.receive()
			if err != nil {
				logf("the parent's frames end: %v", err)
				return
			}
			frames <- f
		}
	}()
	return frames
}

// watch hands on what the machine sees, until ctx ends.
func watch(ctx context.Context, machine Machine, events chan<- vip.Event, logf func(string, ...any)) {
	for ctx.Err() == nil {
		err := machine.Watch(ctx, func(ev vip.Event) {
			select {
			case events <- ev:
			case <-ctx.Done():
			}
		})
		if ctx.Err() != nil {
			return
		}
		logf("the links cannot be watched: %v; trying again in %v", err, watchAgain)
		select {
		case <-time.After(watchAgain):
		case <-ctx.Done():
		}
	}
}
