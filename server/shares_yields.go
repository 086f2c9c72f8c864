package server

import "time"

// yields is what the duty remembers of the requests of a node that preferred an instance and went to another, because the node had no connection to
// it free (locality). They wait for nobody, so what a node has in flight does not show that it needs more.
type yields struct {
	count int64 // as the node counts them
	at    time.Time
	need  int // how many more connections the latest of them stand for
}

// yielded gives how many more connections a node needs, when it has counted so many yields by now and has flying requests in flight. How many of them
// would be in flight at once is not known, so the need at most doubles what there is; the next ones tell whether that was enough. It is remembered as long
// as a node has a turn: a share comes in two steps, and requests are no steady stream.
func (d *sharesDuty) yielded(key shareKey, count int64, flying int) int {
	was, known := d.yields[key]
	now := yields{count: count, at: was.at, need: was.need}
	switch {
	case !known || count < was.count: // a new leader, or a new process: what it has counted before may be long ago
		now.need = 0
	case count > was.count:
		now.at, now.need = d.at, int(min(count-was.count, int64(max(flying, 1))))
	case d.at.Sub(was.at) >= turnSeconds*time.Second:
		now.need = 0
	}
	d.yields[key] = now
	return now.need
}
