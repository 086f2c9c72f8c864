package lb

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"sync"
)

// clientKey is a client within what it is bounded in. Addresses of IPv6 count by /64: a host has a whole one to choose from.
type clientKey struct {
	prefix uint64
	scope  uint32 // never 0; the top bit is set for IPv4
}

func keyOfClient(a netip.Addr, scope uint32) clientKey {
	if a.Is4() {
		four := a.As4()
		return clientKey{uint64(binary.BigEndian.Uint32(four[:])), scope | 1<<31}
	}
	sixteen := a.As16() // of an invalid address too: those without one share what there is
	return clientKey{binary.BigEndian.Uint64(sixteen[:8]), scope}
}

const (
	clientSets = 1 << 14
	clientWays = 8
)

// clientRates keeps the rates of up to 131,072 clients in about 3.3 MB, however many there are. Where there is no room, the one that owes least is forgotten: it
// has at most a burst more than it would have had, and whoever sends too much owes most.
type clientRates struct {
	seed maphash.Seed
	once sync.Once // makes the sets when the first bound is met
	sets []clientSet
}

type clientSet struct {
	mu   sync.Mutex
	ways [clientWays]struct {
		key  clientKey
		owed int64
	}
}

func newClientRates() *clientRates { return &clientRates{seed: maphash.MakeSeed()} }

// take applies a rate to one client; now is of limitClock.
func (t *clientRates) take(k clientKey, r rate, now int64) (wait int64) {
	t.once.Do(func() { t.sets = make([]clientSet, clientSets) })
	s := &t.sets[t.hash(k)%clientSets]
	s.mu.Lock()
	defer s.mu.Unlock()
	least := 0
	for i := range s.ways {
		w := &s.ways[i]
		if w.key == k {
			w.owed, wait = r.take(w.owed, now)
			return wait
		}
		if w.owed < s.ways[least].owed {
			least = i
		}
	}
	w := &s.ways[least]
	w.key = k
	w.owed, wait = r.take(0, now)
	return wait
}

// hash has a secret seed, so that nobody chooses addresses that share a set.
func (t *clientRates) hash(k clientKey) uint64 {
	var b [12]byte
	binary.LittleEndian.PutUint64(b[:], k.prefix)
	binary.LittleEndian.PutUint32(b[8:], k.scope)
	return maphash.Bytes(t.seed, b[:])
}

// clientCounts counts what each client holds at the moment. There are never more entries than things held.
type clientCounts struct {
	shards [64]struct {
		mu   sync.Mutex
		held map[clientKey]int32
	}
}

// take counts one more for the client; false when it has as many as it may have.
func (c *clientCounts) take(k clientKey, most int) bool {
	s := &c.shards[(k.prefix^k.prefix>>32)%64]
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.held[k]
	if int(n) >= most {
		return false
	}
	if s.held == nil {
		s.held = map[clientKey]int32{}
	}
	s.held[k] = n + 1
	return true
}

func (c *clientCounts) give(k clientKey) {
	s := &c.shards[(k.prefix^k.prefix>>32)%64]
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.held[k]; n > 1 {
		s.held[k] = n - 1
	} else {
		delete(s.held, k)
	}
}
