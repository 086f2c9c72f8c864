package check

import (
	"slices"
	"sync"
)

// Backups keeps what became of the backups that operators took. The zero value has none.
type Backups struct {
	mu    sync.Mutex
	taken []error
}

// Read notes that a backup was read back as a whole: problem is what was found wrong with it, nil for nothing. That one could not be had at all is no matter of this.
func (b *Backups) Read(problem error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken = append(b.taken, problem)
}

// list gives what was found of each, in order.
func (b *Backups) list() []error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.taken)
}
