package fsm

// meta is what a slot holds beside the instance and the time: module 16 bits, reason 4 bits, and the log index of the last
// decision in 44 bits, which are enough for half a thousand years of a thousand entries a second. 0 everywhere: not known.
type meta uint64

const (
	indexBits = 44
	// maxDecisionIndex is the last log index that a slot can hold. What is decided later counts as not known.
	maxDecisionIndex = 1<<indexBits - 1
	maxReason        = 15
)

// metaOf packs a decision. Without a reason it is one of an older version, which kept no index: so does this one, or replicas
// that were upgraded in the middle of a log would not have the digests that the log says.
func metaOf(m ModuleID, reason Reason, index uint64) meta {
	out := meta(m) << 48
	if reason != ReasonUnknown && reason <= maxReason && index <= maxDecisionIndex {
		out |= meta(reason)<<indexBits | meta(index)
	}
	return out
}

func (m meta) module() ModuleID { return ModuleID(m >> 48) }
func (m meta) reason() Reason   { return Reason(m >> indexBits & maxReason) }
func (m meta) index() uint64    { return uint64(m & maxDecisionIndex) }

// with fills in the module where it is not known.
func (m meta) with(module ModuleID) meta {
	if m.module() == 0 {
		m |= meta(module) << 48
	}
	return m
}

// possible tells whether Apply can have made it by index, in a state that knows the modules.
func (m meta) possible(modules *modules, index uint64) bool {
	return (m.reason() == 0) == (m.index() == 0) && m.index() <= index && (m.module() == 0 || modules.known(m.module()))
}
