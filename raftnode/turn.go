package raftnode

// turn is a lock for sections that wait for something while they hold it: for another node, the disk, or raft. Whoever waits for his turn waits on a channel, which
// testing/synctest takes for waiting; at a sync.Mutex it would hold a simulated clock, and so the very thing that the section waits for.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// Lock implements sync.Locker.
func (t turn) Lock() { t <- struct{}{} }

// TryLock takes the turn if it is free.
func (t turn) TryLock() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}

// Unlock implements sync.Locker.
func (t turn) Unlock() { <-t }
