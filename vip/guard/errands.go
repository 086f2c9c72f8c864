package guard

import "fmt"

// errands are what a warden has others do, because it may take longer than the lease's end can wait: one after the other, in the order in which they were
// asked for. All methods belong to the warden's goroutine; only run is called by another.
type errands struct {
	queue []errand
	busy  bool
	// ended has what is through; the warden calls finish with it. Room for one of the queue and one beside it, so that nobody waits to send.
	ended  chan errand
	beside int // how many are under way outside the queue
}

type errand struct {
	run    func() error
	then   func(error)
	queued bool
	err    error
	panics error
}

func newErrands() *errands { return &errands{ended: make(chan errand, 4)} }

// add has run called when everything before it is through, and then, with its error, on the warden's goroutine.
func (e *errands) add(run func() error, then func(error)) {
	e.queue = append(e.queue, errand{run: run, then: then, queued: true})
	e.start()
}

// addBeside does not wait for its turn.
func (e *errands) addBeside(run func() error, then func(error)) {
	e.beside++
	go errand{run: run, then: then}.do(e.ended)
}

func (e *errands) start() {
	if e.busy || len(e.queue) == 0 {
		return
	}
	next := e.queue[0]
	e.queue = e.queue[1:]
	e.busy = true
	go next.do(e.ended)
}

func (x errand) do(ended chan<- errand) {
	defer func() {
		if p := recover(); p != nil {
			x.panics = fmt.Errorf("BUG: panic: %v", p)
		}
		ended <- x
	}()
	x.err = x.run()
}

// finish is to be called with what came out of ended. An error is a panic: the machine is in no state that anybody knows.
func (e *errands) finish(x errand) error {
	if x.queued {
		e.busy = false
	} else {
		e.beside--
	}
	if x.panics != nil {
		return x.panics
	}
	x.then(x.err)
	e.start()
	return nil
}

// idle tells whether nothing is under way.
func (e *errands) idle() bool { return !e.busy && e.beside == 0 && len(e.queue) == 0 }
