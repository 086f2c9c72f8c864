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
	}
	return c // Expire, Checkpoint, QuiesceEnd, VerdictSet, SharesSet and InstanceDrop may be repeated
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
