package fsm

import "fmt"

// Apply changes the state by one committed entry. index strictly increases. A refusal is a Result with its code; an error
// is for an entry that must stop the node (ErrEntryDamaged, ErrEntryUnknown, ErrEntryOrder) and leaves the state as it was.
func (s *State) Apply(index uint64, b []byte) (Result, error) {
	res, err := s.cur.Load().apply(index, b)
	if err != nil {
		return Result{}, fmt.Errorf("apply entry %d: %w", index, err)
	}
	return res, nil
}

// Advance takes note of log entries that are no commands: it only moves Applied. An index that is not after Applied does
// nothing.
func (s *State) Advance(index uint64) {
	r := s.cur.Load()
	if index > r.applied.Load() {
		r.publish(index)
	}
}

// apply checks everything that can make an entry unreadable before it changes anything.
func (r *replica) apply(index uint64, b []byte) (Result, error) {
	if last := r.applied.Load(); index <= last {
		return Result{}, fmt.Errorf("%w: %d has been applied", ErrEntryOrder, last)
	}
	e, err := parseEntry(b)
	if err != nil {
		return Result{}, err
	}
	res := Result{Index: index}
	switch {
	case e.kind == kindSessions:
		if len(e.payload)%SessionOpSize != 0 {
			return Result{}, fmt.Errorf("%w: %d bytes of session operations of %d", ErrEntryDamaged, len(e.payload), SessionOpSize)
		}
		r.advance(e.time)
		res.Sessions = r.sessions(index, e.payload)
	case e.kind.known():
		c, err := parseCommand(e)
		if err != nil {
			return Result{}, err
		}
		r.advance(e.time)
		res = r.rare(index, c)
	default:
		// Ignorable: of the entry only the time counts, as it does on the nodes that know the kind.
		r.advance(e.time)
	}
	r.publish(index)
	return res, nil
}

// advance moves replicated time. It never goes back, whatever the clock of a new leader says.
func (r *replica) advance(ms int64) {
	r.now.Store(max(r.now.Load(), min(ms, maxNow)))
}

// rare applies a rare command, or gives its first result again when it has been applied before.
func (r *replica) rare(index uint64, c Command) Result {
	req, ok := c.(requester)
	if !ok {
		return r.execute(index, c)
	}
	if res, again := r.requests.recall(req.request(), c.kind()); again {
		return res
	}
	res := r.execute(index, c)
	r.remember(req.request(), c.kind(), res)
	return res
}

func (r *replica) execute(index uint64, c Command) Result {
	var res Result
	switch c := c.(type) {
	case *GroupInit:
		res = r.groupInit(c)
	case *configEntry:
		res = r.configChange(index, c)
	case *TokenPut:
		res = r.tokenPut(c)
	case *TokenUse:
		res = r.tokenUse(c)
	case *TokenDrop:
		res = r.tokenDrop(c)
	case *Expire:
		res = r.expire(c)
	case *Checkpoint:
		res = r.checkpoint(index, c)
	default:
		res = r.executeOperating(index, c)
	}
	res.Index = index
	return res
}

// executeOperating applies the commands of types_operating.go.
func (r *replica) executeOperating(index uint64, c Command) Result {
	switch c := c.(type) {
	case *QuiesceSet:
		return r.quiesceSet(index, c)
	case *QuiesceEnd:
		return r.quiesceEnd(index, c)
	case *LockSet:
		return r.lockSet(index, c)
	case *LockClear:
		return r.lockClear(index, c)
	case *VerdictSet:
		return r.verdictSet(index, c)
	case *SharesSet:
		return r.sharesSet(index, c)
	case *registerEntry:
		return r.instanceRegister(index, c)
	case *InstanceDrop:
		return r.instanceDrop(index, c)
	case *scheduleEntry:
		return r.scheduleSet(index, c)
	case *ScheduleDrop:
		return r.scheduleDrop(index, c)
	case *WorkflowSet:
		return r.workflowSet(index, c)
	}
	panic(fmt.Sprintf("BUG: apply a %T", c))
}
