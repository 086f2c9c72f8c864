package shelf

import (
	"os"
	"sync"

	"github.com/holdfast-lb/holdfast/storage/durable"
)

// names knows which names outlive a power cut: those that were there before a sync of their directory began that has come to its end. Syncs are counted; when a name was seen first is told by that count.
type names struct {
	sync func(dir string) error

	mu     sync.Mutex
	begun  uint64            // syncs so far
	synced map[string]uint64 // by directory, the last sync that has come to its end
	dirs   map[string]uint64 // directories made by this process, as of when
}

func newNames() *names {
	return &names{sync: durable.SyncDir, synced: make(map[string]uint64), dirs: make(map[string]uint64)}
}

// seen is the count for a name that is there now.
func (n *names) seen() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.begun
}

// mkdir makes a directory; nobody takes one that has just been made for one that was found.
func (n *names) mkdir(path string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	err := os.Mkdir(path, dirMode)
	if err == nil {
		n.dirs[path] = n.begun
	}
	return err
}

// made is the count for a directory that is there.
func (n *names) made(path string) uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dirs[path]
}

// stay syncs dir unless that was done after its name of that count was there.
func (n *names) stay(dir string, seen uint64) error {
	n.mu.Lock()
	if n.synced[dir] > seen {
		n.mu.Unlock()
		return nil
	}
	n.begun++
	round := n.begun
	n.mu.Unlock()
	if err := n.sync(dir); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.synced[dir] = max(n.synced[dir], round)
	return nil
}
