package fsm

// own makes sure that no snapshot reads sh's slots, so that the writer may change them. The copy is made before the lock
// is taken: readers never wait for it.
func (t *table) own(sh *shard) {
	if sh.gen == t.gen {
		return
	}
	if t.live.Load() > 0 && len(sh.slots) > 0 {
		// Not make and copy: that would clear what is overwritten at once.
		t.publish(sh, append([]slot(nil), sh.slots...))
	}
	sh.gen = t.gen
}

// resize gives sh n slots, more than it uses. The old ones are left as they are for snapshots.
func (t *table) resize(sh *shard, n int) {
	fresh := make([]slot, n)
	for i := range sh.slots {
		if sh.slots[i].instance != 0 {
			place(fresh, &sh.slots[i])
		}
	}
	t.publish(sh, fresh)
	sh.gen = t.gen
}

func (t *table) publish(sh *shard, fresh []slot) {
	sh.mu.Lock()
	sh.slots = fresh
	sh.mu.Unlock()
}

// share gives the slices of all shards to a snapshot, which must call release when it has done with them. For the writer.
func (t *table) share() [][]slot {
	t.live.Add(1)
	t.gen++
	shared := make([][]slot, Shards)
	for i := range t.shards {
		if t.shards[i].used > 0 {
			shared[i] = t.shards[i].slots
		}
	}
	tear(shared)
	return shared
}

// release ends one share. On any goroutine: what the snapshot has read happens before the writer sees the count.
func (t *table) release() { t.live.Add(-1) }

// expire removes from sh what has been idle too long at now (replicated, Unix ms) and calls dropped for each. A shard with
// nothing to remove is not touched, hence not copied either.
func (t *table) expire(sh *shard, limits idleLimits, now int64, dropped func(*slot)) {
	first := 0
	for first < len(sh.slots) && !limits.over(&sh.slots[first], now) {
		first++
	}
	if first == len(sh.slots) {
		return
	}
	t.own(sh)
	before := sh.used
	sh.mu.Lock()
	for i := first; i < len(sh.slots); {
		s := &sh.slots[i]
		if !limits.over(s, now) {
			i++
			continue
		}
		t.sum.sub(slotSum(s))
		dropped(s)
		// What moves into i is looked at next. What wraps from the front to the end has been looked at before.
		unplace(sh.slots, i)
		sh.used--
	}
	sh.mu.Unlock()
	t.count.Add(int64(sh.used - before))
	// After a crowd has left, give the memory back.
	if len(sh.slots) > minSlots && sh.used*3 < len(sh.slots) {
		t.resize(sh, fitting(sh.used))
	}
}
