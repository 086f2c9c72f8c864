package fsm

// batch is what all operations of one entry have in common.
type batch struct {
	index uint64
	now   int64
	seen  uint32
	n     *names
	m     *modules
}

// sessions applies a batch of whole session operations, in order. The only allocation is the results.
func (r *replica) sessions(index uint64, payload []byte) []SessionResult {
	out := make([]SessionResult, len(payload)/SessionOpSize)
	now := r.now.Load()
	b := batch{index: index, now: now, seen: seenNow(now), n: r.names.Load(), m: r.modules.Load()}
	for i := range out {
		op, ok := ParseSessionOp(payload[i*SessionOpSize:])
		out[i].Code = CodeUnknownOp
		if ok {
			op.Module = b.m.given(op.Module)
			out[i].Code, out[i].Instance = r.session(&b, &op)
		}
		out[i].Index = index
	}
	return out
}

// session applies one operation and returns its code and the assignment after it.
func (r *replica) session(b *batch, op *SessionOp) (Code, InstanceID) {
	sh, i := r.table.find(&op.Key)
	var present slot
	if i >= 0 {
		present = sh.slots[i]
	}
	switch op.Kind {
	case OpAssign:
		switch {
		case i >= 0:
			return CodeExists, present.instance
		case !b.n.known(op.Instance):
			return CodeUnknownInstance, 0
		case b.n.full(op.Instance):
			return CodeFull, 0
		}
		r.begin(b, sh, op)
		return CodeOK, op.Instance

	case OpMove, OpMoveAt:
		code := moveCode(b.n, op, &present)
		switch {
		case code != CodeOK:
			return code, present.instance
		case present.instance == op.Instance:
			r.touch(b, sh, i, op)
		case i < 0:
			r.begin(b, sh, op)
		default:
			r.move(b, sh, i, op)
		}
		return CodeOK, op.Instance

	case OpTouch:
		if i < 0 {
			return CodeAbsent, 0
		}
		r.touch(b, sh, i, op)
		return CodeOK, present.instance

	case OpDrop:
		switch {
		case i < 0:
			return CodeAbsent, 0
		case op.Expect != 0 && op.Expect != present.instance:
			return CodeMismatch, present.instance
		}
		r.drop(b, sh, i, op)
		return CodeOK, 0
	}
	return CodeUnknownOp, present.instance
}

// moveCode says what becomes of a move when present, whose instance may be 0, is the assignment.
func moveCode(n *names, op *SessionOp, present *slot) Code {
	expected := present.instance == op.Expect
	if op.Kind == OpMoveAt {
		expected = present.meta.index() != 0 && uint32(present.meta.index()) == op.Version
	}
	switch {
	case !n.known(op.Instance):
		return CodeUnknownInstance
	case present.instance == op.Instance:
		return CodeOK // sent again
	case !expected && present.instance == 0:
		return CodeAbsent
	case !expected:
		return CodeMismatch
	case n.full(op.Instance):
		return CodeFull
	}
	return CodeOK
}

// begin records a session that has no assignment.
func (r *replica) begin(b *batch, sh *shard, op *SessionOp) {
	r.table.insert(sh, slot{key: op.Key, instance: op.Instance, seen: b.seen, meta: metaOf(op.Module, op.Reason, b.index)})
	b.n.count(op.Instance, 1)
	b.m.count(op.Module, 1)
}

// move gives the session in slot i to another instance.
func (r *replica) move(b *batch, sh *shard, i int, op *SessionOp) {
	old := sh.slots[i]
	next := slot{instance: op.Instance, seen: b.seen, meta: metaOf(old.meta.module(), op.Reason, b.index).with(op.Module)}
	r.decided(decision{key: op.Key, at: b.now, from: old.instance, to: op.Instance, was: old.meta, is: next.meta})
	r.table.update(sh, i, next)
	b.n.count(old.instance, -1)
	b.n.count(op.Instance, 1)
	if old.meta.module() == 0 {
		b.m.count(next.meta.module(), 1)
	}
}

// touch marks the session in slot i as in use. Batches bring the same touch from many nodes; a second one in a second costs nothing.
func (r *replica) touch(b *batch, sh *shard, i int, op *SessionOp) {
	next := sh.slots[i]
	if next.meta.module() == 0 && op.Module != 0 {
		next.meta = next.meta.with(op.Module)
		b.m.count(op.Module, 1)
	}
	if next.seen = b.seen; next != sh.slots[i] {
		r.table.update(sh, i, next)
	}
}

func (r *replica) drop(b *batch, sh *shard, i int, op *SessionOp) {
	old := sh.slots[i]
	r.decided(decision{key: op.Key, at: b.now, from: old.instance, was: old.meta, is: metaOf(old.meta.module(), op.Reason, b.index)})
	r.table.remove(sh, i)
	b.n.count(old.instance, -1)
	b.m.count(old.meta.module(), -1)
}
