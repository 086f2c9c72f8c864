//go:build !mutants

package fsm

// Where known bugs are built in for the kill tests (see internal/mutant), this is what is right. The compiler leaves nothing of it.

// inOrder gives the subjects in the order of the configuration.
func (s *subjects) inOrder() []Subject { return s.order }

// restarts reports whether a change begins running quiesces anew: never.
func restarts() bool { return false }

// staysInEpoch reports whether a group begins again without a new epoch: never.
func staysInEpoch() bool { return false }

// tear leaves a change out of what a snapshot gets: never.
func tear([][]slot) {}
