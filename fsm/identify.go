package fsm

// Identify gives c with a request id: c itself when it has one, or when its kind has none because it may be repeated; else a copy with the id that
// fresh makes. The caller's command is left alone.
func Identify(c Command, fresh func() RequestID) Command {
	switch c := c.(type) {
	case *GroupInit:
		return identified(c, &c.RequestID, func(n *GroupInit) { n.RequestID = fresh() })
	case *ConfigSet:
		return identified(c, &c.RequestID, func(n *ConfigSet) { n.RequestID = fresh() })
	case *ConfigChange:
		return identified(c, &c.RequestID, func(n *ConfigChange) { n.RequestID = fresh() })
	case *TokenPut:
		return identified(c, &c.RequestID, func(n *TokenPut) { n.RequestID = fresh() })
	case *TokenUse:
		return identified(c, &c.RequestID, func(n *TokenUse) { n.RequestID = fresh() })
	case *TokenDrop:
		return identified(c, &c.RequestID, func(n *TokenDrop) { n.RequestID = fresh() })
	case *QuiesceSet:
		return identified(c, &c.RequestID, func(n *QuiesceSet) { n.RequestID = fresh() })
	case *LockSet:
		return identified(c, &c.RequestID, func(n *LockSet) { n.RequestID = fresh() })
	case *LockClear:
		return identified(c, &c.RequestID, func(n *LockClear) { n.RequestID = fresh() })
	case *InstanceRegister:
		return identified(c, &c.RequestID, func(n *InstanceRegister) { n.RequestID = fresh() })
	case *ScheduleSet:
		return identified(c, &c.RequestID, func(n *ScheduleSet) { n.RequestID = fresh() })
	case *ScheduleDrop:
		return identified(c, &c.RequestID, func(n *ScheduleDrop) { n.RequestID = fresh() })
	case *WorkflowSet:
		return identified(c, &c.RequestID, func(n *WorkflowSet) { n.RequestID = fresh() })
	case *EvacuationSet:
		return identified(c, &c.RequestID, func(n *EvacuationSet) { n.RequestID = fresh() })
	case *EvacuationClear:
		return identified(c, &c.RequestID, func(n *EvacuationClear) { n.RequestID = fresh() })
	case *RestoreBegin:
		return identified(c, &c.RequestID, func(n *RestoreBegin) { n.RequestID = fresh() })
	case *CertificatePut:
		return identified(c, &c.RequestID, func(n *CertificatePut) { n.RequestID = fresh() })
	case *CertificateDrop:
		return identified(c, &c.RequestID, func(n *CertificateDrop) { n.RequestID = fresh() })
	case *RoleSet:
		return identified(c, &c.RequestID, func(n *RoleSet) { n.RequestID = fresh() })
	case *UserGroupSet:
		return identified(c, &c.RequestID, func(n *UserGroupSet) { n.RequestID = fresh() })
	case *UserSet:
		return identified(c, &c.RequestID, func(n *UserSet) { n.RequestID = fresh() })
	case *IssuerSet:
		return identified(c, &c.RequestID, func(n *IssuerSet) { n.RequestID = fresh() })
	case *StorePut:
		return identified(c, &c.RequestID, func(n *StorePut) { n.RequestID = fresh() })
	case *StoreSplice:
		return identified(c, &c.RequestID, func(n *StoreSplice) { n.RequestID = fresh() })
	case *StoreDelete:
		return identified(c, &c.RequestID, func(n *StoreDelete) { n.RequestID = fresh() })
	case *StoreCopy:
		return identified(c, &c.RequestID, func(n *StoreCopy) { n.RequestID = fresh() })
	case *StoreClear:
		return identified(c, &c.RequestID, func(n *StoreClear) { n.RequestID = fresh() })
	case *EndedNote:
		return identified(c, &c.RequestID, func(n *EndedNote) { n.RequestID = fresh() })
	case *FilePart:
		return identified(c, &c.RequestID, func(n *FilePart) { n.RequestID = fresh() })
	case *FileDrop:
		return identified(c, &c.RequestID, func(n *FileDrop) { n.RequestID = fresh() })
	case *RestoreCommit:
		return identified(c, &c.RequestID, func(n *RestoreCommit) { n.RequestID = fresh() })
	}
	if renew, ok := c.(*ACMERenew); ok {
		return identified(renew, &renew.RequestID, func(n *ACMERenew) { n.RequestID = fresh() })
	}
	if next := identifyLater(c, fresh); next != nil {
		return next
	}
	// Expire, Checkpoint, QuiesceEnd, VerdictSet, SharesSet, InstanceDrop, HolderSet, BackupBegin, BackupEnd, RestorePart, RestoreDrop, QuarantineNote, TicketKeyPut, NodeRevoke, StoreSweep, StoreHolders,
	// SchemaRaise, ACMEStore, ACMEDelete, ACMELockSet and ACMENote may be repeated.
	return c
}

// identified is c, or a copy that set gives an id when c's own is zero.
func identified[T any, C interface {
	*T
	Command
}](c C, id *RequestID, set func(C)) Command {
	if *id != (RequestID{}) {
		return c
	}
	next := *c
	set(&next)
	return C(&next)
}
