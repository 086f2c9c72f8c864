package fsm

// maxRequests is how many request ids the state remembers.
const maxRequests = 1024

// request is the first result of a rare command.
type request struct {
	// seq counts the remembered requests from 0, so that the digest covers which one is forgotten next.
	seq      uint64
	id       RequestID
	kind     kind
	code     Code
	message  string
	index    uint64
	revision uint64
}

// requests remembers the results of the last maxRequests rare commands. Only the writer uses it.
type requests struct {
	ring []request // place seq % maxRequests
	byID map[RequestID]int
	next uint64 // the seq of the next one
}

// recall gives the first result of a command that has been sent again.
func (q *requests) recall(id RequestID, k kind) (Result, bool) {
	i, ok := q.byID[id]
	if !ok {
		return Result{}, false
	}
	r := &q.ring[i]
	if r.kind != k {
		return Result{Code: CodeInvalid, Message: "the request id belongs to another command"}, true
	}
	return Result{Code: r.code, Message: r.message, Index: r.index, Revision: r.revision}, true
}

// remember stores a result and returns the one that it pushes out, if any.
func (q *requests) remember(r request) (forgotten request, full bool) {
	place := int(r.seq % maxRequests)
	if full = len(q.ring) == maxRequests; full {
		forgotten = q.ring[place]
		delete(q.byID, forgotten.id)
		q.ring[place] = r
	} else {
		q.ring = append(q.ring, r)
	}
	if q.byID == nil {
		q.byID = make(map[RequestID]int)
	}
	q.byID[r.id] = place
	q.next = r.seq + 1
	return forgotten, full
}

// restore sets what a snapshot remembers, oldest first. It tells false for what remember cannot have made.
func (q *requests) restore(all []request) bool {
	if len(all) > maxRequests || len(all) > 0 && len(all) < maxRequests && all[0].seq != 0 {
		return false
	}
	q.ring = make([]request, len(all))
	q.byID = make(map[RequestID]int, len(all))
	for i, r := range all {
		if _, twice := q.byID[r.id]; twice || i > 0 && r.seq != q.next {
			return false
		}
		place := int(r.seq % maxRequests)
		q.ring[place], q.byID[r.id], q.next = r, place, r.seq+1
	}
	return true
}

// inOrder lists what is remembered, oldest first, as a copy.
func (q *requests) inOrder() []request {
	out := make([]request, 0, len(q.ring))
	for seq := q.next - uint64(len(q.ring)); seq != q.next; seq++ {
		out = append(out, q.ring[seq%maxRequests])
	}
	return out
}

// remember adds the result of a rare command to the state. A zero id is nobody's and is not remembered.
func (r *replica) remember(id RequestID, k kind, res Result) {
	if id == (RequestID{}) {
		return
	}
	req := request{seq: r.requests.next, id: id, kind: k, code: res.Code, message: res.Message, index: res.Index, revision: res.Revision}
	r.items.add(itemSum(itemRequest, appendRequest(nil, &req)))
	if old, full := r.requests.remember(req); full {
		r.items.sub(itemSum(itemRequest, appendRequest(nil, &old)))
	}
}

// appendRequest is the canonical form of a remembered request.
func appendRequest(b []byte, r *request) []byte {
	b = appendU64(b, r.seq)
	b = append(b, r.id[:]...)
	b = append(b, byte(r.kind), byte(r.code))
	b = appendBytes(b, r.message)
	b = appendU64(b, r.index)
	return appendU64(b, r.revision)
}

func parseRequest(b []byte) (request, bool) {
	p := parser{b: b}
	r := request{seq: p.u64()}
	copy(r.id[:], p.take(uint64(len(r.id))))
	r.kind, r.code = kind(p.u8()), Code(p.u8())
	r.message, r.index, r.revision = p.string(), p.u64(), p.u64()
	return r, p.done() && r.id != (RequestID{})
}
