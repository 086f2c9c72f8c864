package proc

import (
	"errors"
	"sync"
)

// Set owns processes: Close ends whatever of them still runs. The zero value is ready.
type Set struct {
	mu     sync.Mutex
	all    []*Process
	closed bool
}

// Start is Start, owned by the set.
func (s *Set) Start(spec Spec) (*Process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("start " + spec.Name + ": the set of processes is closed")
	}
	p, err := Start(spec)
	if err != nil {
		return nil, err
	}
	s.all = append(s.all, p)
	return p, nil
}

// Adopt is Process.Adopt, owned by the set.
func (s *Set) Adopt(from *Process, pid int) (*Process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("adopt from " + from.Name() + ": the set of processes is closed")
	}
	p, err := from.Adopt(pid)
	if err != nil {
		return nil, err
	}
	s.all = append(s.all, p)
	return p, nil
}

// Close kills what still runs, frozen processes too, and waits for it. Nothing can be started afterwards.
func (s *Set) Close() {
	s.mu.Lock()
	all := s.all
	s.closed = true
	s.mu.Unlock()
	var gone sync.WaitGroup
	for _, p := range all {
		gone.Go(p.Kill)
	}
	gone.Wait()
	for _, p := range all {
		collect(p.group)
	}
}
