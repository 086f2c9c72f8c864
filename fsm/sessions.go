package fsm

// sessions applies a batch of whole session operations, in order. The only allocation is the results.
func (r *replica) sessions(index uint64, payload []byte) []SessionResult {
	out := make([]SessionResult, len(payload)/SessionOpSize)
	seen := seenNow(r.now.Load())
	n := r.names.Load()
	for i := range out {
		op, ok := ParseSessionOp(payload[i*SessionOpSize:])
		out[i].Code = CodeUnknownOp
		if ok {
			out[i].Code, out[i].Instance = r.session(n, &op, seen)
		}
		out[i].Index = index
	}
	return out
}

// session applies one operation and returns its code and the assignment after it.
func (r *replica) session(n *names, op *SessionOp, seen uint32) (Code, InstanceID) {
	t := r.table
	sh, i := t.find(&op.Key)
	var present InstanceID
	if i >= 0 {
		present = sh.slots[i].instance
	}
	switch op.Kind {
	case OpAssign:
		switch {
		case present != 0:
			return CodeExists, present
		case !n.known(op.Instance):
			return CodeUnknownInstance, 0
		}
		r.set(n, sh, -1, op, seen)
		return CodeOK, op.Instance

	case OpMove:
		switch {
		case !n.known(op.Instance):
			return CodeUnknownInstance, present
		case present != op.Instance && present != op.Expect && present == 0:
			return CodeAbsent, 0
		case present != op.Instance && present != op.Expect:
			return CodeMismatch, present
		}
		r.set(n, sh, i, op, seen)
		return CodeOK, op.Instance

	case OpTouch:
		if present == 0 {
			return CodeAbsent, 0
		}
		// Batches bring the same touch from many nodes; a second one in a second costs nothing.
		if sh.slots[i].seen != seen {
			t.update(sh, i, present, seen)
		}
		return CodeOK, present

	case OpDrop:
		switch {
		case present == 0:
			return CodeAbsent, 0
		case op.Expect != 0 && op.Expect != present:
			return CodeMismatch, present
		}
		t.remove(sh, i)
		n.count(present, -1)
		return CodeOK, 0
	}
	return CodeUnknownOp, present
}

// set writes op's instance into slot i of sh, or into a new one when i is negative.
func (r *replica) set(n *names, sh *shard, i int, op *SessionOp, seen uint32) {
	if i < 0 {
		r.table.insert(sh, slot{key: op.Key, instance: op.Instance, seen: seen})
	} else {
		n.count(sh.slots[i].instance, -1)
		r.table.update(sh, i, op.Instance, seen)
	}
	n.count(op.Instance, 1)
}
