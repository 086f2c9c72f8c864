package fsm

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// store holds the values of all modules. One writer; readers take root, which is immutable.
type store struct {
	root atomic.Pointer[storeTree]

	// Read by others under mu, changed by the writer under it.
	mu    sync.RWMutex
	uses  map[ModuleID]*storeUse
	total int64
	since uint64 // the log index of the snapshot that this began with
	// What is kept beside the log: by whom, how many values, and how many of them are lost.
	holders      map[string]*held
	copies, lost int
	dropped      []*Copy // see State.StoreDropped; no part of the state

	// The writer's own.
	recent  recentWrites
	sum     sum  // of values and remembered writes
	changed bool // since State.Apply has last told of it
}

// storeUse is what one module has. kv is the log index of the last change of its keys, or a later one.
type storeUse struct {
	values [3]int // by Space
	bytes  int64
	kv     uint64
}

// placeModule is how many bytes of a place in SpaceKV are the module's id.
const placeModule = 2

// place is where the value of a key stands in the order of all.
func (k *StoreKey) place() string {
	if k.Space == SpaceSessions {
		return string(SpaceSessions) + k.Key
	}
	b := append(make([]byte, 0, 1+placeModule+len(k.Key)), byte(k.Space))
	return string(append(binary.BigEndian.AppendUint16(b, uint16(k.Module)), k.Key...))
}

// problem says why there cannot be a value of that key, or nothing.
func (k *StoreKey) problem() string {
	switch {
	case k.Space == SpaceSessions && len(k.Key) != len(Key{}):
		return fmt.Sprintf("a session's key has %d bytes, not %d", len(Key{}), len(k.Key))
	case k.Space == SpaceKV && (k.Key == "" || len(k.Key) > MaxStoredKey):
		return fmt.Sprintf("a key has 1 to %d bytes, not %d", MaxStoredKey, len(k.Key))
	case k.Space != SpaceSessions && k.Space != SpaceKV:
		return fmt.Sprintf("there is no space %d", k.Space)
	}
	return ""
}

// counts is what a value counts for the bounds.
func (v *Stored) counts() int64 {
	return StoredOverhead + int64(len(v.place)+len(v.Type)+v.Size())
}

// set puts next in the place of old, which is what is there; one of them may be nil.
func (s *store) set(old, next *Stored) {
	t := s.root.Load()
	if next == nil {
		t = t.without(old.place)
	} else {
		t = t.with(next)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old != nil {
		s.count(old, -1)
		s.sum.sub(old.sum)
		s.drop(old.Copy, next)
	}
	if next != nil {
		s.count(next, 1)
		s.sum.add(next.sum)
	}
	s.root.Store(t)
	s.changed = true
}

// count adds a value to what its module has, or takes it off. Under mu.
func (s *store) count(v *Stored, by int) {
	if s.uses == nil {
		s.uses = make(map[ModuleID]*storeUse)
	}
	u := s.uses[v.Module]
	if u == nil {
		u = new(storeUse)
		s.uses[v.Module] = u
	}
	s.countCopy(v, by)
	u.values[v.Space()] += by
	u.bytes += int64(by) * v.counts()
	s.total += int64(by) * v.counts()
}

// keysChanged notes the log index of a change of a module's keys. The writer's.
func (s *store) keysChanged(m ModuleID, index uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.uses[m]; u != nil {
		u.kv = max(u.kv, index)
	}
}

// bytes is what a module has. The writer's.
func (s *store) bytes(m ModuleID) int64 {
	if u := s.uses[m]; u != nil {
		return u.bytes
	}
	return 0
}

// remember notes a write that was done. One without an id is nobody's.
func (s *store) remember(id RequestID, version uint64) {
	if id == (RequestID{}) {
		return
	}
	w := recentWrite{seq: s.recent.next, id: id, version: version}
	s.sum.add(itemSum(itemStored, appendRecentWrite(nil, &w)))
	if old, full := s.recent.add(w); full {
		s.sum.sub(itemSum(itemStored, appendRecentWrite(nil, &old)))
	}
}

// alive tells whether a value is there at now (Unix ms): its bytes are not lost, and its time is not over, or it is that of a session that has its assignment.
func (r *replica) alive(v *Stored, now int64) bool {
	return !v.Lost() && r.inTime(v, now)
}

// inTime tells whether the time of a value is not over at now.
func (r *replica) inTime(v *Stored, now int64) bool {
	if v.expires == 0 || now < v.expires {
		return true
	}
	if v.Space() != SpaceSessions {
		return false
	}
	k := Key([]byte(v.Key()))
	_, assigned := r.table.lookup(&k)
	return assigned
}

// present is the value of a key that is alive now, nil for none, and what is at its place, alive or not.
func (r *replica) present(k *StoreKey) (alive, there *Stored) {
	if there = r.store.root.Load().get(k.place()); there != nil && r.alive(there, r.now.Load()) {
		return there, there
	}
	return nil, there
}

// conflict refuses a write whose condition does not hold.
func conflict(cond StoreIf, version uint64, present *Stored) (Result, bool) {
	have := uint64(0)
	if present != nil {
		have = present.Version
	}
	res := Result{Code: CodeConflict, Version: have}
	switch {
	case cond == IfAbsent && present != nil:
		res.Message = fmt.Sprintf("there is a value, of version %d", have)
	case (cond == IfPresent || cond == IfVersion) && present == nil:
		res.Message = "there is no value"
	case cond == IfVersion && have != version:
		res.Message = fmt.Sprintf("the value has version %d, not %d", have, version)
	case cond > IfVersion:
		return Result{Code: CodeInvalid, Message: fmt.Sprintf("there is no condition %d", cond)}, true
	default:
		return Result{}, false
	}
	return res, true
}

// storeSetting finds what the configuration in force says of a module's store: nil when the module is not configured, or has none of that space.
func (r *replica) storeSetting(k *StoreKey) (*config.Store, *config.Cluster) {
	m := r.modules.Load()
	if !m.known(k.Module) {
		return nil, nil
	}
	ref := m.refs[k.Module-1]
	c := r.operating.Load().Config
	for i := range c.Clusters {
		if c.Clusters[i].Name != ref.Cluster {
			continue
		}
		for j := range c.Clusters[i].Modules {
			mod := &c.Clusters[i].Modules[j]
			if mod.Host != ref.Host || mod.ContextRoot != ref.ContextRoot {
				continue
			}
			if s := mod.Store; s != nil && (k.Space == SpaceSessions && s.Sessions || k.Space == SpaceKV && s.KV) {
				return s, &c.Clusters[i]
			}
			return nil, nil
		}
	}
	return nil, nil
}

func (r *replica) storePut(index uint64, c *StorePut) Result {
	var k check
	if problem := c.problem(); problem != "" {
		k.failf("%s", problem)
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
	present, there := r.present(&c.StoreKey)
	if res, refused := conflict(c.If, c.Version, present); refused {
		return res
	}
	next := &Stored{place: c.place(), Module: c.Module, Type: c.Type, Data: c.Data, ttl: c.TTL.Milliseconds()}
	return r.storeWrite(index, &c.StoreKey, c.RequestID, there, next)
}

func (r *replica) storeSplice(index uint64, c *StoreSplice) Result {
	if problem := c.problem(); problem != "" {
		return Result{Code: CodeInvalid, Message: problem}
	}
	if version, again := r.store.recent.find(c.RequestID); again {
		return Result{Version: version}
	}
	present, _ := r.present(&c.StoreKey)
	if res, refused := conflict(IfVersion, c.Version, present); refused {
		return res
	}
	if present.Copy != nil {
		return Result{Code: CodeInvalid, Message: "the bytes of the value are not in the log: write all of it"}
	}
	end := uint64(c.At) + uint64(c.Cut)
	if end > uint64(len(present.Data)) {
		return Result{Code: CodeInvalid, Message: fmt.Sprintf("bytes %d to %d of a value that has %d", c.At, end, len(present.Data))}
	}
	data := make([]byte, 0, len(present.Data)-int(c.Cut)+len(c.Insert))
	data = append(append(append(data, present.Data[:c.At]...), c.Insert...), present.Data[end:]...)
	next := &Stored{place: present.place, Module: c.Module, Type: present.Type, Data: data, ttl: present.ttl}
	return r.storeWrite(index, &c.StoreKey, c.RequestID, present, next)
}

// bounds refuses next in the place of there when it is too large, or one too many. The writer's, or under mu.
func (s *store) bounds(setting *config.Store, there, next *Stored) (Result, bool) {
	if most := min(int64(setting.MaxValue), MaxStoredValue); int64(next.Size()) > most {
		return Result{Code: CodeInvalid, Message: fmt.Sprintf("the value has %d bytes, at most %d are kept (store.maxValue of the module)", next.Size(), most)}, true
	}
	of, all := s.bytes(next.Module)+next.counts(), s.total+next.counts()
	if there != nil {
		all -= there.counts()
		if there.Module == next.Module {
			of -= there.counts()
		}
	}
	switch {
	case of > int64(setting.MaxBytes):
		return Result{Code: CodeFull, Message: fmt.Sprintf("the store of the module is full: with this value it would count %d bytes, and may have %d (store.maxBytes of the module); what expires is given back within a minute", of, int64(setting.MaxBytes))}, true
	case all > MaxStored:
		return Result{Code: CodeFull, Message: fmt.Sprintf("the store of the group is full: all modules together may have %d bytes", int64(MaxStored))}, true
	}
	return Result{}, false
}

// storeWrite puts next in the place of there, within the bounds.
func (r *replica) storeWrite(index uint64, key *StoreKey, id RequestID, there, next *Stored) Result {
	setting, cluster := r.storeSetting(key)
	if setting == nil {
		return Result{Code: CodeInvalid, Message: fmt.Sprintf("the module has no store for %s: the configuration gives it one (modules: store)", key.Space)}
	}
	if res, refused := r.store.bounds(setting, there, next); refused {
		return res
	}
	now := r.now.Load()
	if next.ttl == 0 && key.Space == SpaceSessions {
		next.ttl = idleLimit(time.Duration(cluster.Affinity.IdleTimeout))
	}
	next.ttl = min(next.ttl, MaxStoredTTL.Milliseconds())
	if next.Version, next.changed = index, now; next.ttl > 0 {
		next.expires = now + next.ttl
	}
	if len(next.Data) == 0 {
		next.Data = nil // as it comes out of a snapshot
	}
	next.sum = itemSum(itemStored, appendStored(nil, next))
	r.store.set(there, next)
	r.store.remember(id, index)
	if key.Space == SpaceKV {
		r.store.keysChanged(next.Module, index)
	}
	return Result{Version: index, Created: there == nil || !r.alive(there, now)}
}

func (r *replica) storeDelete(index uint64, c *StoreDelete) Result {
	if problem := c.problem(); problem != "" {
		return Result{Code: CodeInvalid, Message: problem}
	}
	if version, again := r.store.recent.find(c.RequestID); again {
		return Result{Version: version}
	}
	present, there := r.present(&c.StoreKey)
	if c.If == IfAny && there != nil && there.Lost() { // what is left of it is forgotten
		present = there
	}
	if c.If == IfAny && present == nil {
		return Result{Code: CodeAbsent, Message: "there is no value"}
	}
	if res, refused := conflict(c.If, c.Version, present); refused {
		return res
	}
	if present == nil {
		return Result{Code: CodeAbsent, Message: "there is no value"}
	}
	r.storeDrop(index, present)
	r.store.remember(c.RequestID, index)
	return Result{Version: index}
}

// storeDrop takes a value out.
func (r *replica) storeDrop(index uint64, v *Stored) {
	r.store.set(v, nil)
	if v.Space() == SpaceKV {
		r.store.keysChanged(v.Module, index)
	}
}

func (r *replica) storeSweep(index uint64, c *StoreSweep) Result {
	for i := range c.Keys {
		if c.Keys[i].problem() != "" {
			continue
		}
		if there := r.store.root.Load().get(c.Keys[i].place()); there != nil && !r.inTime(there, r.now.Load()) {
			r.storeDrop(index, there)
		}
	}
	return Result{}
}

func (r *replica) storeClear(index uint64, c *StoreClear) Result {
	var k check
	k.name("the actor", c.Actor)
	if c.Space != SpaceSessions && c.Space != SpaceKV {
		k.failf("there is no space %d", c.Space)
	}
	if res, refused := k.refused(); refused {
		return res
	}
	m := r.modules.Load()
	if !m.known(c.Module) {
		return Result{Code: CodeAbsent, Message: "there is no such module"}
	}
	n := 0
	r.store.root.Load().walk(string(c.Space), func(v *Stored) bool {
		if v.Space() == c.Space && v.Module == c.Module {
			r.storeDrop(index, v)
			n++
		}
		return v.Space() == c.Space
	})
	if n > 0 {
		ref := m.refs[c.Module-1]
		r.emit(index, Event{Kind: EventStore, Actor: c.Actor, Subject: Subject{Cluster: ref.Cluster, Host: ref.Host, ContextRoot: ref.ContextRoot},
			Text: clip(fmt.Sprintf("All %s of module %s removed: %d values%s", c.Space, ref.Host+ref.ContextRoot, n, by(c.Actor)), maxTextBytes)})
	}
	return Result{}
}

// renew has the time of every value begin anew: while the group was not there nobody could write it.
func (s *store) renew(now int64) {
	s.root.Load().walk("", func(v *Stored) bool {
		if v.expires != 0 && v.expires < now+v.ttl {
			next := *v
			next.expires = now + next.ttl
			next.sum = itemSum(itemStored, appendStored(nil, &next))
			s.set(v, &next)
		}
		return true
	})
}
