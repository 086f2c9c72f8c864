package fsm

import (
	"fmt"
	"sync"
	"time"
)

// news tells who waits that something has changed.
type news struct {
	mu sync.Mutex
	ch chan struct{} // nil: nobody waits
}

func (n *news) wait() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ch == nil {
		n.ch = make(chan struct{})
	}
	return n.ch
}

func (n *news) tell() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ch != nil {
		close(n.ch)
		n.ch = nil
	}
}

// StoreNews is closed with the next change of the store. Take it before you look, or you may miss one.
func (s *State) StoreNews() <-chan struct{} { return s.news.wait() }

// Stored finds a value, nil for none. One whose time is over is none, though it may not have been swept yet.
func (s *State) Stored(k StoreKey) *Stored {
	r := s.cur.Load()
	v := r.store.root.Load().get(k.place())
	if v == nil || !r.alive(v, r.now.Load()) {
		return nil
	}
	return v
}

// StoredKeys lists the values of a module's keys that begin with prefix and come after a key, in the order of the bytes; at most limit. more tells whether there are others behind.
func (s *State) StoredKeys(m ModuleID, prefix, after string, limit int) (list []*Stored, more bool) {
	r := s.cur.Load()
	now := r.now.Load()
	all := StoreKey{Space: SpaceKV, Module: m}
	begin := all.place() + max(prefix, after)
	r.store.root.Load().walk(begin, func(v *Stored) bool {
		if v.Space() != SpaceKV || v.Module != m || len(v.Key()) < len(prefix) || v.Key()[:len(prefix)] != prefix {
			return false
		}
		if after != "" && v.Key() <= after || !r.alive(v, now) {
			return true
		}
		if len(list) >= limit {
			more = true
			return false
		}
		list = append(list, v)
		return true
	})
	return list, more
}

// KeysChanged is the log index of the last change of a module's keys, or a later one: after a restore nobody knows what was removed before.
func (s *State) KeysChanged(m ModuleID) uint64 {
	st := &s.cur.Load().store
	st.mu.RLock()
	defer st.mu.RUnlock()
	if u := st.uses[m]; u != nil {
		return max(u.kv, st.since)
	}
	return st.since
}

// StoreUse tells how much each module has, by rising id, and what all count together. Modules without values are left out.
func (s *State) StoreUse() (list []StoreUse, total int64) {
	r := s.cur.Load()
	st := &r.store
	st.mu.RLock()
	defer st.mu.RUnlock()
	for i := range r.modules.Load().refs {
		m := ModuleID(i + 1)
		if u := st.uses[m]; u != nil && u.bytes > 0 {
			list = append(list, StoreUse{Module: m, Sessions: u.values[SpaceSessions], Keys: u.values[SpaceKV], Bytes: u.bytes})
		}
	}
	return list, st.total
}

// StoreOver lists at most limit values whose time is over at now, for StoreSweep: those of the space from and of the ones behind it. Of SpaceKV it costs no more than what it finds; of
// SpaceSessions also what is only kept by an assignment.
func (s *State) StoreOver(from Space, now time.Time, limit int) (list []StoreKey) {
	r := s.cur.Load()
	ms := now.UnixMilli()
	r.store.root.Load().walkDue(string([]byte{byte(from)}), ms, func(v *Stored) bool {
		if !r.inTime(v, ms) {
			list = append(list, StoreKey{Space: v.Space(), Module: v.Module, Key: v.Key()})
		}
		return len(list) < limit
	})
	return list
}

// restored notes that nothing is known of what was removed before index.
func (s *store) restored(index uint64) {
	s.since = index
	s.changed = false
}

// listStored has the values and the remembered writes, for comparing.
func (s *Snapshot) listStored() itemList {
	var values []*Stored
	s.store.walk("", func(v *Stored) bool {
		values = append(values, v)
		return true
	})
	return itemList{len(values) + len(s.recent), func(b []byte, i int) []byte {
		if i < len(values) {
			return appendStored(b, values[i])
		}
		return appendRecentWrite(b, &s.recent[i-len(values)])
	}, func(i int) string {
		if i >= len(values) {
			return fmt.Sprintf("a remembered write of the store, of version %d", s.recent[i-len(values)].version)
		}
		v := values[i]
		if v.Space() == SpaceSessions {
			return fmt.Sprintf("the data of session %s, of version %d", Key([]byte(v.Key())), v.Version)
		}
		return fmt.Sprintf("the value of key %.80q of module %d, of version %d", v.Key(), v.Module, v.Version)
	}}
}
