package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/gameday"
)

// signalNames are of the signals that ask this program to end.
var signalNames = map[os.Signal]string{syscall.SIGINT: "SIGINT", syscall.SIGTERM: "SIGTERM", syscall.SIGHUP: "SIGHUP"}

// interrupted is why a context ended.
type interrupted struct{ signal os.Signal }

func (i interrupted) Error() string { return "interrupted by " + signalNames[i.signal] }

func (i interrupted) Is(target error) bool { return target == context.Canceled }

// asked are the signals that end this program. SIGHUP comes when the terminal goes, or the connection to it; who has it ignored (nohup) wants the program to go on then.
func asked() []os.Signal {
	list := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		list = append(list, syscall.SIGHUP)
	}
	return list
}

// keepPipes has writes to a reader that is gone fail, and not end this program: the one who reads its output is perhaps ended by the same Ctrl-C. Commands that it starts do not inherit that.
func keepPipes() (stop func()) {
	unread := make(chan os.Signal, 1)
	signal.Notify(unread, syscall.SIGPIPE)
	return func() { signal.Stop(unread) }
}

// untilSignal is a context that SIGINT, SIGTERM and SIGHUP end. A second one ends the program at once; its processes end with it.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	got, over := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(got, asked()...)
	var listens sync.WaitGroup
	listens.Go(func() {
		select {
		case s := <-got:
			signal.Stop(got) // the next one does what it does to any program
			unpipe := keepPipes()
			cancel(interrupted{s})
			_, _ = fmt.Fprintf(os.Stderr, "\nholdfast-chaos: %s: what was done is healed, and all processes are ended; a second one ends this at once\n", signalNames[s])
			<-over
			unpipe()
		case <-over:
		}
	})
	return ctx, sync.OnceFunc(func() {
		signal.Stop(got)
		close(over)
		listens.Wait()
		cancel(nil)
	})
}

// untilUndone is a context that SIGINT, SIGTERM and SIGHUP end. More of them change nothing: people press Ctrl-C twice, CI systems send one signal after the other, and a deployment would be left as no one
// wants it. What is taken back has an end, gameday.UndoTime. say is told of each.
func untilUndone(ctx context.Context, say func(text string)) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	got, over := make(chan os.Signal, 8), make(chan struct{})
	signal.Notify(got, asked()...)
	unpipe := keepPipes()
	var listens sync.WaitGroup
	listens.Go(func() {
		var end time.Time
		for {
			select {
			case s := <-got:
				if end.IsZero() {
					end = time.Now().Add(gameday.UndoTime)
					cancel(interrupted{s})
					say(fmt.Sprintf("%s: taking back what was done, if anything was, for %v at most; more signals do not end that (SIGQUIT, Ctrl-\\, does, and leaves everything as it is)", signalNames[s], gameday.UndoTime))
					continue
				}
				say(fmt.Sprintf("%s: still taking back, for %v at most (SIGQUIT, Ctrl-\\, leaves everything as it is)", signalNames[s], max(time.Until(end), time.Second).Round(time.Second)))
			case <-over:
				return
			}
		}
	})
	return ctx, sync.OnceFunc(func() {
		signal.Stop(got)
		close(over)
		listens.Wait()
		unpipe()
		cancel(nil)
	})
}
