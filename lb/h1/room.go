package h1

import (
	"runtime"
	"sync"
)

var room struct {
	sync.Mutex
	before int // GOMAXPROCS as it was, 0: not changed
}

// processors is how many the process may use.
func processors() int {
	room.Lock()
	defer room.Unlock()
	if room.before > 0 {
		return room.before
	}
	return runtime.GOMAXPROCS(0)
}

// MakeRoom raises GOMAXPROCS by the number of loops that an engine has by default, once in a process. A loop that is busy never waits, so the runtime would give its processor to
// other goroutines only every 10 ms, and look for their sockets as rarely; with one more for each loop the kernel shares the processors, and a goroutine that has something to do
// runs within a fraction of a millisecond (docs/adr/0019-event-loops.md). Whoever assembles the process calls it before New; without it everything works, the rest of the process
// slower.
func MakeRoom() {
	room.Lock()
	defer room.Unlock()
	if room.before == 0 {
		room.before = runtime.GOMAXPROCS(0)
		runtime.GOMAXPROCS(room.before + min(room.before, maxLoops))
	}
}

// maxLoops is how many loops an engine has at most by default: more than that many busy ones have other bounds.
const maxLoops = 8
