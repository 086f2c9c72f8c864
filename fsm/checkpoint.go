package fsm

// checkpoint compares this replica's digest at the previous checkpoint with the leader's, and notes its own at this one.
// The entry carries the digest of an earlier one because a leader does not know the digest at an index before it has
// applied it. A replica that has no record of that one (it has just been restored) compares again at the next.
func (r *replica) checkpoint(index uint64, c *Checkpoint) Result {
	last := r.record
	next := CheckpointRecord{Index: index, Digest: r.digest(), Diverged: last.Diverged}
	if last.Index != 0 && last.Index == c.PrevIndex && last.Digest != c.PrevDigest && next.Diverged == 0 {
		next.Diverged = c.PrevIndex
	}
	r.record = next
	return Result{}
}
