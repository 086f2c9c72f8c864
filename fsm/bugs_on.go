//go:build mutants

package fsm

import (
	"maps"
	"slices"

	"github.com/holdfast-lb/holdfast/internal/mutant"
)

// The known bugs of the state. No release has them: see internal/mutant, which the tests of purity let in here alone.

func (s *subjects) inOrder() []Subject {
	if mutant.On(mutant.MapIterated) {
		return slices.Collect(maps.Keys(s.of))
	}
	return s.order
}

func restarts() bool { return mutant.On(mutant.QuiesceRestarted) }

func staysInEpoch() bool { return mutant.On(mutant.PromoteSameEpoch) }

// tear leaves the newest decision out of the shard that has it.
func tear(shared [][]slot) {
	if !mutant.On(mutant.SnapshotTorn) {
		return
	}
	newest, shard, at := uint64(0), -1, 0
	for i, slots := range shared {
		for j := range slots {
			if s := &slots[j]; s.instance != 0 && s.meta.index() > newest {
				newest, shard, at = s.meta.index(), i, j
			}
		}
	}
	if shard >= 0 {
		shared[shard] = slices.Clone(shared[shard])
		unplace(shared[shard], at)
	}
}
