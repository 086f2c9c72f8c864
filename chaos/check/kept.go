package check

import (
	"slices"
	"sync"
)

// kept is what is noted while a run goes on, in order. The zero value is empty; any goroutine may call it.
type kept[T any] struct {
	mu  sync.Mutex
	all []T
}

func (k *kept[T]) add(one T) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = append(k.all, one)
}

func (k *kept[T]) list() []T {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.all)
}
