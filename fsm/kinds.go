package fsm

func (*GroupInit) kind() kind        { return kindGroupInit }
func (*ConfigSet) kind() kind        { return kindConfigSet }
func (*TokenPut) kind() kind         { return kindTokenPut }
func (*TokenUse) kind() kind         { return kindTokenUse }
func (*TokenDrop) kind() kind        { return kindTokenDrop }
func (*Expire) kind() kind           { return kindExpire }
func (*Checkpoint) kind() kind       { return kindCheckpoint }
func (*ConfigChange) kind() kind     { return kindConfigChange }
func (*QuiesceSet) kind() kind       { return kindQuiesceSet }
func (*QuiesceEnd) kind() kind       { return kindQuiesceEnd }
func (*LockSet) kind() kind          { return kindLockSet }
func (*LockClear) kind() kind        { return kindLockClear }
func (*VerdictSet) kind() kind       { return kindVerdictSet }
func (*InstanceRegister) kind() kind { return kindInstanceRegister }
func (*InstanceDrop) kind() kind     { return kindInstanceDrop }
func (*ScheduleSet) kind() kind      { return kindScheduleSet }
func (*ScheduleDrop) kind() kind     { return kindScheduleDrop }
func (*WorkflowSet) kind() kind      { return kindWorkflowSet }
func (*SharesSet) kind() kind        { return kindSharesSet }
