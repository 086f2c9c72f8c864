package fsm

import "fmt"

// Apply changes the state by one committed entry. index strictly increases. A refusal is a Result with its code; an error
// is for an entry that must stop the node (ErrEntryDamaged, ErrEntryUnknown, ErrEntryOrder) and leaves the state as it was.
func (s *State) Apply(index uint64, b []byte) (Result, error) {
	r := s.cur.Load()
	res, err := r.apply(index, b)
	if err != nil {
		return Result{}, fmt.Errorf("apply entry %d: %w", index, err)
	}
	if r.successor != nil {
		s.cur.Store(r.successor)
		s.news.tell()
	} else if r.store.changed {
		r.store.changed = false
		s.news.tell()
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
		if commit, ok := c.(*RestoreCommit); ok {
			if err := r.readRestored(commit); err != nil {
				return Result{}, err
			}
		}
		r.advance(e.time)
		early, gated := r.gated(index, e.kind)
		if res = early; !gated {
			res = r.rare(index, c)
		}
	default:
		// Ignorable: of the entry only the time counts, as it does on the nodes that know the kind.
		r.advance(e.time)
	}
	if n := r.successor; n != nil { // readers see it instead, as of this index
		n.succeed(r)
		n.publish(index)
		return res, nil
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
		res = r.groupInit(index, c)
	case *configEntry:
		res = r.configChange(index, c)
	case *TokenPut:
		res = r.tokenPut(index, c)
	case *TokenUse:
		res = r.tokenUse(c)
	case *TokenDrop:
		res = r.tokenDrop(index, c)
	case *Expire:
		res = r.expire(c)
	case *Checkpoint:
		res = r.checkpoint(index, c)
	case *RestoreBegin:
		res = r.restoreBegin(index, c)
	case *RestorePart:
		res = r.restorePart(c)
	case *RestoreCommit:
		res = r.restoreCommit(index, c)
	case *RestoreDrop:
		res = r.restoreDrop(index, c)
	default:
		res = r.executeOperating(index, c)
	}
	res.Index = index
	return res
}

// executeOperating applies the commands of types_operating.go, types_holder.go, types_backup.go, types_tls.go, types_access.go, types_store.go, types_acme.go and schema.go.
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
	case *HolderSet:
		return r.holderSet(index, c)
	case *EvacuationSet:
		return r.evacuationSet(index, c)
	case *EvacuationClear:
		return r.evacuationClear(index, c)
	case *BackupBegin:
		return r.backupBegin(index, c)
	case *BackupEnd:
		return r.backupEnd(index, c)
	case *QuarantineNote:
		return r.quarantineNote(index, c)
	case *NodeRevoke:
		return r.nodeRevoke(index, c)
	case *SchemaRaise:
		return r.schemaRaise(index, c)
	case *CertificatePut:
		return r.certificatePut(index, c)
	case *CertificateDrop:
		return r.certificateDrop(index, c)
	case *TicketKeyPut:
		return r.ticketKeyPut(index, c)
	case *RoleSet:
		return r.roleSet(index, c)
	case *UserGroupSet:
		return r.userGroupSet(index, c)
	case *UserSet:
		return r.userSet(index, c)
	case *IssuerSet:
		return r.issuerSet(index, c)
	case *StorePut:
		return r.storePut(index, c)
	case *StoreSplice:
		return r.storeSplice(index, c)
	case *StoreDelete:
		return r.storeDelete(index, c)
	case *StoreSweep:
		return r.storeSweep(index, c)
	case *StoreClear:
		return r.storeClear(index, c)
	case *StoreCopy:
		return r.storeCopy(index, c)
	case *StoreHolders:
		return r.storeHolders(index, c)
	case *EndedNote:
		return r.endedNote(index, c)
	case *FilePart:
		return r.filePart(index, c)
	case *FileDrop:
		return r.fileDrop(index, c)
	}
	if res, ok := r.executeACME(index, c); ok {
		return res
	}
	if res, ok := r.executeLater(index, c); ok {
		return res
	}
	panic(fmt.Sprintf("BUG: apply a %T", c))
}
