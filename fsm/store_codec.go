package fsm

import (
	"fmt"
	"time"
)

// packed is a command with a binary payload: values are bytes already, and base64 would cost a third of the log. Fields are as in canonical forms; what a later version appends is
// read as zero where it is missing, and skipped by an older one.
type packed interface {
	Command
	pack(b []byte) []byte
	unpack(p *parser)
}

func appendStoreKey(b []byte, k *StoreKey) []byte {
	b = append(b, byte(k.Space))
	b = appendU32(b, uint32(k.Module))
	return appendBytes(b, k.Key)
}

// storeKey reads one. A module id that does not fit is one that nobody has: 0.
func (p *parser) storeKey() StoreKey {
	k := StoreKey{Space: Space(p.u8())}
	if id := p.u32(); id <= maxModules {
		k.Module = ModuleID(id)
	}
	k.Key = p.string()
	return k
}

func (p *parser) requestID() (id RequestID) {
	copy(id[:], p.take(uint64(len(id))))
	return id
}

// pack drops what is below a millisecond.
func (c *StorePut) pack(b []byte) []byte {
	b = append(b, c.RequestID[:]...)
	b = appendStoreKey(b, &c.StoreKey)
	b = append(b, byte(c.If))
	b = appendU64(b, c.Version)
	b = appendU64(b, uint64(c.TTL.Milliseconds()))
	b = appendBytes(b, c.Type)
	return appendBytes(b, c.Data)
}

func (c *StorePut) unpack(p *parser) {
	c.RequestID, c.StoreKey, c.If, c.Version = p.requestID(), p.storeKey(), StoreIf(p.u8()), p.u64()
	c.TTL, c.Type, c.Data = unpackTTL(p.u64()), p.string(), p.bytes()
}

// unpackTTL gives a negative one, which is refused, for what no Duration holds.
func unpackTTL(ms uint64) time.Duration {
	if ms > uint64(MaxStoredTTL/time.Millisecond) {
		return -1
	}
	return time.Duration(ms) * time.Millisecond
}

func (c *StoreSplice) pack(b []byte) []byte {
	b = append(b, c.RequestID[:]...)
	b = appendStoreKey(b, &c.StoreKey)
	b = appendU64(b, c.Version)
	b = appendU32(b, c.At)
	b = appendU32(b, c.Cut)
	return appendBytes(b, c.Insert)
}

func (c *StoreSplice) unpack(p *parser) {
	c.RequestID, c.StoreKey, c.Version = p.requestID(), p.storeKey(), p.u64()
	c.At, c.Cut, c.Insert = p.u32(), p.u32(), p.bytes()
}

func (c *StoreDelete) pack(b []byte) []byte {
	b = append(b, c.RequestID[:]...)
	b = appendStoreKey(b, &c.StoreKey)
	b = append(b, byte(c.If))
	return appendU64(b, c.Version)
}

func (c *StoreDelete) unpack(p *parser) {
	c.RequestID, c.StoreKey, c.If, c.Version = p.requestID(), p.storeKey(), StoreIf(p.u8()), p.u64()
}

func (c *StoreSweep) pack(b []byte) []byte {
	b = appendU32(b, uint32(len(c.Keys)))
	for i := range c.Keys {
		b = appendStoreKey(b, &c.Keys[i])
	}
	return b
}

func (c *StoreSweep) unpack(p *parser) {
	for n := p.u32(); n > 0 && !p.bad; n-- { // each key has nine bytes at least, so that the entry bounds the list
		c.Keys = append(c.Keys, p.storeKey())
	}
}

// unpackCommand reads a packed command.
func unpackCommand(c packed, payload []byte) error {
	p := &parser{b: payload}
	if c.unpack(p); p.bad {
		return fmt.Errorf("%d bytes are too few", len(payload))
	}
	return nil
}

// What is in the store stands in a snapshot, and in the digest, under one item in these forms.
const (
	storedValue = 1
	storedWrite = 2
	storedCopy  = 3 // a value whose bytes are beside the log
	storedMoved = 4 // the same, and when it was given other holders
)

// appendStored is the canonical form of a value.
func appendStored(b []byte, v *Stored) []byte {
	form := byte(storedValue)
	switch {
	case v.Copy != nil && v.Copy.moved != 0:
		form = storedMoved
	case v.Copy != nil:
		form = storedCopy
	}
	b = append(b, form)
	b = appendBytes(b, v.place)
	b = appendU32(b, uint32(v.Module))
	b = appendBytes(b, v.Type)
	if v.Copy != nil {
		b = appendCopy(b, v.Copy)
	} else {
		b = appendBytes(b, v.Data)
	}
	b = appendU64(b, v.Version)
	b = appendU64(b, uint64(v.changed))
	b = appendU64(b, uint64(v.ttl))
	b = appendU64(b, uint64(v.expires))
	if form == storedMoved {
		b = appendU64(b, v.Copy.moved)
	}
	return b
}

func appendRecentWrite(b []byte, w *recentWrite) []byte {
	b = append(b, storedWrite)
	b = appendU64(b, w.seq)
	b = append(b, w.id[:]...)
	return appendU64(b, w.version)
}

// stored adds an item of the store to a replica that is being restored.
func (r *restorer) stored(b []byte) error {
	s := &r.r.store
	p := parser{b: b}
	switch form := p.u8(); form {
	case storedValue, storedCopy, storedMoved:
		v := &Stored{place: p.string()}
		module := p.u32()
		if v.Type = p.string(); form != storedValue {
			c := p.copy()
			c.Holders = s.shared(c.Holders)
			v.Copy = &c
		} else {
			v.Data = p.bytes()
		}
		v.Version = p.u64()
		v.changed, v.ttl, v.expires = int64(p.u64()), int64(p.u64()), int64(p.u64())
		if form == storedMoved {
			v.Copy.moved = p.u64()
			p.bad = p.bad || v.Copy.moved <= v.Version || v.Copy.moved > r.index
		}
		if module <= maxModules {
			v.Module = ModuleID(module)
		}
		if !p.done() || r.lastPlace >= v.place || !v.possible(r.modules, r.index, r.r.now.Load()) || len(s.recent.ring) > 0 {
			return fmt.Errorf("impossible value")
		}
		r.lastPlace = v.place
		v.sum = itemSum(itemStored, b)
		s.set(nil, v)
		if s.total > MaxStored {
			return fmt.Errorf("impossible value: there are too many")
		}
	case storedWrite:
		w := recentWrite{seq: p.u64(), id: p.requestID(), version: p.u64()}
		if !p.done() || w.version == 0 || w.version > r.index || w.id == (RequestID{}) || !s.recent.restore(w) {
			return fmt.Errorf("impossible write")
		}
		s.sum.add(itemSum(itemStored, b))
	default:
		return fmt.Errorf("impossible item of the store")
	}
	return nil
}

// possible tells whether Apply can have made it by index and by the time now.
func (v *Stored) possible(m *modules, index uint64, now int64) bool {
	if len(v.place) == 0 || !m.known(v.Module) {
		return false
	}
	k := StoreKey{Space: Space(v.place[0]), Module: v.Module}
	switch {
	case k.Space == SpaceSessions:
		k.Key = v.place[1:]
	case k.Space == SpaceKV && len(v.place) > 1+placeModule:
		k.Key = v.place[1+placeModule:]
	}
	due := int64(0)
	if v.ttl > 0 {
		due = v.expires
	}
	return k.problem() == "" && (v.Copy == nil || v.Copy.problem() == "") && k.place() == v.place && len(v.Type) <= maxNameBytes && len(v.Data) <= MaxStoredValue && v.Version != 0 && v.Version <= index &&
		v.changed >= 0 && v.changed <= now && v.ttl >= 0 && v.ttl <= MaxStoredTTL.Milliseconds() && v.expires == due && (due == 0 || due >= v.changed)
}

// writeStore writes the values in the order of their places, then the writes that are remembered.
func (s *Snapshot) writeStore(l *listWriter) {
	var b []byte
	s.store.walk("", func(v *Stored) bool {
		next, err := s.whole(v)
		if err != nil && l.w.err == nil {
			l.w.err = err
		}
		if l.w.err != nil {
			return false
		}
		b = appendStored(b[:0], next)
		l.add(itemStored, b)
		return true
	})
	for i := range s.recent {
		l.add(itemStored, appendRecentWrite(b[:0], &s.recent[i]))
	}
	l.flush()
}
