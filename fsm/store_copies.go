package fsm

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// held is what one member keeps beside the log.
type held struct {
	id     string
	values int
	bytes  int64
}

// problem says why there cannot be such holders, or nothing.
func holdersProblem(list []string) string {
	if len(list) > MaxHolders {
		return fmt.Sprintf("%d holders, at most %d keep a value", len(list), MaxHolders)
	}
	for i, id := range list {
		if id == "" || len(id) > MaxHolderID {
			return fmt.Sprintf("the id of a holder has 1 to %d bytes, not %d", MaxHolderID, len(id))
		}
		if slices.Contains(list[:i], id) {
			return "a holder is named twice"
		}
	}
	return ""
}

func (c *Copy) problem() string {
	if c.Size < 1 || c.Size > MaxStoredValue {
		return fmt.Sprintf("a value beside the log has 1 to %d bytes, not %d", MaxStoredValue, c.Size)
	}
	return holdersProblem(c.Holders)
}

// shared has the ids of holders once in memory, however many values they keep. The writer's.
func (s *store) shared(ids []string) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		if h := s.holders[id]; h != nil {
			id = h.id
		}
		out[i] = id
	}
	return out
}

// countCopy adds a value to what its holders keep, or takes it off. Under mu.
func (s *store) countCopy(v *Stored, by int) {
	if v.Copy == nil {
		return
	}
	s.copies += by
	if v.Lost() {
		s.lost += by
	}
	if s.holders == nil {
		s.holders = make(map[string]*held)
	}
	for _, id := range v.Copy.Holders {
		h := s.holders[id]
		if h == nil {
			h = &held{id: id}
			s.holders[id] = h
		}
		h.values += by
		h.bytes += int64(by) * int64(v.Copy.Size)
		if h.values == 0 {
			delete(s.holders, id)
		}
	}
}

// maxDropped bounds what StoreDropped gives: more than two disks can take within the seconds between two calls.
const maxDropped = 1 << 14

// drop notes that a copy has another in its place, or nothing. Under mu.
func (s *store) drop(old *Copy, next *Stored) {
	if old != nil && (next == nil || next.Copy != old) && len(s.dropped) < maxDropped {
		s.dropped = append(s.dropped, old)
	}
}

// StoreDropped gives what has been replaced or removed since the last call, as far as it is remembered: it is for one caller, who throws bytes away that nothing names any more. Some may be named again, or still, by other values.
func (s *State) StoreDropped() []*Copy {
	st := &s.cur.Load().store
	st.mu.Lock()
	defer st.mu.Unlock()
	list := st.dropped
	st.dropped = nil
	return list
}

// notFresh refuses what names holders by a promise that is too old.
func (r *replica) notFresh(taken time.Time) (Result, bool) {
	if age := r.now.Load() - taken.UnixMilli(); age > CopyFresh.Milliseconds() {
		return Result{Code: CodeExpired, Message: fmt.Sprintf("the holders promised to keep the bytes more than %v ago: they must be asked again", CopyFresh)}, true
	}
	return Result{}, false
}

func (r *replica) storeCopy(index uint64, c *StoreCopy) Result {
	var k check
	if problem := c.StoreKey.problem(); problem != "" {
		k.failf("%s", problem)
	}
	if problem := c.Copy.problem(); problem != "" {
		k.failf("%s", problem)
	}
	if len(c.Holders) == 0 {
		k.failf("no member has the bytes")
	}
	k.name("the media type", c.Type)
	if c.TTL < 0 || c.TTL > MaxStoredTTL {
		k.failf("a time to live is from nothing to %v", MaxStoredTTL)
	}
	if res, refused := k.refused(); refused {
		return res
	}
	if version, again := r.store.recent.find(c.RequestID); again {
		return Result{Version: version}
	}
	if res, refused := r.notFresh(c.Taken); refused {
		return res
	}
	present, there := r.present(&c.StoreKey)
	if res, refused := conflict(c.If, c.Version, present); refused {
		return res
	}
	next := &Stored{place: c.place(), Module: c.Module, Type: c.Type, Copy: &Copy{Hash: c.Hash, Size: c.Size, Holders: r.store.shared(c.Holders)}, ttl: c.TTL.Milliseconds()}
	return r.storeWrite(index, &c.StoreKey, c.RequestID, there, next)
}

func (r *replica) storeHolders(index uint64, c *StoreHolders) Result {
	for i := range c.Moves {
		if len(c.Moves[i].Holders) == 0 {
			continue
		}
		if res, refused := r.notFresh(c.Taken); refused {
			return res
		}
	}
	lost := make(map[ModuleID]int)
	for i := range c.Moves {
		m := &c.Moves[i]
		if m.StoreKey.problem() != "" || holdersProblem(m.Holders) != "" {
			continue
		}
		v := r.store.root.Load().get(m.place())
		if v == nil || v.Copy == nil || v.Lost() || v.Version != m.Version || c.Seen != 0 && v.Copy.moved > c.Seen {
			continue
		}
		next := *v
		next.Copy = &Copy{Hash: v.Copy.Hash, Size: v.Copy.Size, Holders: r.store.shared(m.Holders), moved: v.Copy.moved}
		if c.Seen != 0 { // what an older program has written leads to the state that it led to
			next.Copy.moved = index
		}
		next.sum = itemSum(itemStored, appendStored(nil, &next))
		r.store.set(v, &next)
		if next.Lost() {
			lost[v.Module]++
			if v.Space() == SpaceKV {
				r.store.keysChanged(v.Module, index)
			}
		}
	}
	refs := r.modules.Load().refs
	for id := range refs { // in the order of their ids
		if n := lost[ModuleID(id+1)]; n > 0 {
			ref := refs[id]
			r.emit(index, Event{Kind: EventStoreLost, Subject: Subject{Cluster: ref.Cluster, Host: ref.Host, ContextRoot: ref.ContextRoot},
				Text: fmt.Sprintf("%d values of module %s are lost: no node that kept their bytes has them any more", n, ref.Host+ref.ContextRoot)})
		}
	}
	return Result{}
}

// StoreRefuses says with what result a write would be refused as the state is now; false: it would be done. That it was done already, and is sent again, this does not know.
func (s *State) StoreRefuses(c *StorePut) (Result, bool) {
	r := s.cur.Load()
	r.store.mu.RLock() // before the value is read, so that it is among what is counted
	defer r.store.mu.RUnlock()
	present, there := r.present(&c.StoreKey)
	if res, refused := conflict(c.If, c.Version, present); refused {
		return res, true
	}
	setting, _ := r.storeSetting(&c.StoreKey)
	if setting == nil {
		return Result{}, false // the write says so itself
	}
	return r.store.bounds(setting, there, &Stored{place: c.place(), Module: c.Module, Type: c.Type, Data: c.Data})
}

// StoredLost finds a value whose bytes are lost: Stored gives none then. nil: there is no such value, or it has its bytes.
func (s *State) StoredLost(k StoreKey) *Stored {
	if v := s.cur.Load().store.root.Load().get(k.place()); v != nil && v.Lost() {
		return v
	}
	return nil
}

// StoreHoldings lists who keeps values beside the log, by id, how many there are, and how many of them are lost.
func (s *State) StoreHoldings() (list []StoreHolding, values, lost int) {
	st := &s.cur.Load().store
	st.mu.RLock()
	defer st.mu.RUnlock()
	for _, h := range st.holders {
		list = append(list, StoreHolding{ID: h.id, Values: h.values, Bytes: h.bytes})
	}
	slices.SortFunc(list, func(a, b StoreHolding) int { return strings.Compare(a.ID, b.ID) })
	return list, st.copies, st.lost
}

// StoredCopies calls visit for each value that is kept beside the log and not lost, until that says false. Its cost is that of a walk over all values.
func (s *State) StoredCopies(visit func(*Stored) bool) {
	if _, values, _ := s.StoreHoldings(); values == 0 {
		return
	}
	s.cur.Load().store.root.Load().walk("", func(v *Stored) bool {
		return v.Copy == nil || v.Lost() || visit(v)
	})
}

// Address names the value for a command.
func (v *Stored) Address() StoreKey {
	return StoreKey{Space: v.Space(), Module: v.Module, Key: v.Key()}
}

// Whole has WriteTo put the bytes of values that are kept beside the log into the snapshot, as if all nodes had them: fetch gives them, or nil for a value that cannot be had and is to be written as
// lost; its error is WriteTo's. The snapshot's digest is then that of what is written. Before WriteTo; fetch is called in it.
func (s *Snapshot) Whole(fetch func(*Stored) ([]byte, error)) { s.fetch = fetch }

// whole gives the value as it is written.
func (s *Snapshot) whole(v *Stored) (*Stored, error) {
	if s.fetch == nil || v.Copy == nil || v.Lost() {
		return v, nil
	}
	data, err := s.fetch(v)
	if err != nil {
		return nil, err
	}
	next := *v
	if data == nil {
		next.Copy = &Copy{Hash: v.Copy.Hash, Size: v.Copy.Size}
	} else {
		next.Copy, next.Data = nil, data
	}
	next.sum = itemSum(itemStored, appendStored(nil, &next))
	s.sum.sub(v.sum)
	s.sum.add(next.sum)
	return &next, nil
}

func (c *StoreCopy) pack(b []byte) []byte {
	b = append(b, c.RequestID[:]...)
	b = appendStoreKey(b, &c.StoreKey)
	b = append(b, byte(c.If))
	b = appendU64(b, c.Version)
	b = appendU64(b, uint64(c.TTL.Milliseconds()))
	b = appendBytes(b, c.Type)
	b = appendCopy(b, &c.Copy)
	return appendTime(b, c.Taken)
}

func (c *StoreCopy) unpack(p *parser) {
	c.RequestID, c.StoreKey, c.If, c.Version = p.requestID(), p.storeKey(), StoreIf(p.u8()), p.u64()
	c.TTL, c.Type, c.Copy, c.Taken = unpackTTL(p.u64()), p.string(), p.copy(), p.time()
}

func (c *StoreHolders) pack(b []byte) []byte {
	b = appendTime(b, c.Taken)
	b = appendU32(b, uint32(len(c.Moves)))
	for i := range c.Moves {
		b = appendStoreKey(b, &c.Moves[i].StoreKey)
		b = appendU64(b, c.Moves[i].Version)
		b = appendHolders(b, c.Moves[i].Holders)
	}
	if c.Seen == 0 {
		return b
	}
	return appendU64(b, c.Seen)
}

func (c *StoreHolders) unpack(p *parser) {
	c.Taken = p.time()
	for n := p.u32(); n > 0 && !p.bad; n-- { // each move has eighteen bytes at least, so that the entry bounds the list
		c.Moves = append(c.Moves, StoreMove{StoreKey: p.storeKey(), Version: p.u64(), Holders: p.holders()})
	}
	if len(p.b) > 0 { // else it is of an older program
		c.Seen = p.u64()
	}
}

func appendCopy(b []byte, c *Copy) []byte {
	b = append(b, c.Hash[:]...)
	b = appendU32(b, c.Size)
	return appendHolders(b, c.Holders)
}

func (p *parser) copy() (c Copy) {
	copy(c.Hash[:], p.take(uint64(len(c.Hash))))
	c.Size, c.Holders = p.u32(), p.holders()
	return c
}

func appendHolders(b []byte, ids []string) []byte {
	b = append(b, byte(len(ids)))
	for _, id := range ids {
		b = appendBytes(b, id)
	}
	return b
}

// holders gives nil for none, as apply has it too.
func (p *parser) holders() (ids []string) {
	for n := p.u8(); n > 0 && !p.bad; n-- {
		ids = append(ids, p.string())
	}
	return ids
}
