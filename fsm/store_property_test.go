package fsm

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

func testStore() *config.Store {
	return &config.Store{Sessions: true, KV: true, MaxValue: 64 << 10, MaxBytes: 1 << 20}
}

// everythingStored puts values of both spaces into module /b of cluster c1, which has the id 2.
func everythingStored(r *replicaUnderTest) {
	key := testKey(1)
	session := StoreKey{Space: SpaceSessions, Module: 2, Key: string(key[:])}
	r.do(&StorePut{RequestID: testRequestID(70), StoreKey: session, Type: "application/json", Data: []byte(`{"user":"ann"}`)})
	r.do(&StorePut{RequestID: testRequestID(71), StoreKey: StoreKey{Space: SpaceKV, Module: 2, Key: "motd"}, Type: "text/plain", Data: []byte("hello")})
	r.do(&StorePut{RequestID: testRequestID(72), StoreKey: StoreKey{Space: SpaceKV, Module: 2, Key: "flags/a"}, TTL: time.Minute})
	r.do(&StoreCopy{RequestID: testRequestID(74), StoreKey: StoreKey{Space: SpaceKV, Module: 2, Key: "large"}, Type: "text/plain", Copy: copyOf("large"), Taken: r.now})
	r.do(&StoreHolders{Taken: r.now, Seen: r.index, Moves: []StoreMove{{StoreKey: StoreKey{Space: SpaceKV, Module: 2, Key: "large"}, Version: r.index, Holders: []string{"n3/c"}}}})
	r.do(&StoreCopy{RequestID: testRequestID(75), StoreKey: StoreKey{Space: SpaceKV, Module: 2, Key: "lost"}, Copy: copyOf("lost"), Taken: r.now})
	r.do(&StoreHolders{Moves: []StoreMove{{StoreKey: StoreKey{Space: SpaceKV, Module: 2, Key: "lost"}, Version: r.index}}})
	r.do(&StoreDelete{RequestID: testRequestID(73), StoreKey: StoreKey{Space: SpaceKV, Module: 2, Key: "motd"}})
}

// genStore draws a command about the store. Names are few, so that most of them meet.
func genStore(t *rapid.T, id RequestID) Command {
	k := StoreKey{Space: rapid.SampledFrom([]Space{SpaceSessions, SpaceKV, SpaceKV, 3}).Draw(t, "space"), Module: ModuleID(rapid.IntRange(0, 4).Draw(t, "module"))}
	if k.Space == SpaceSessions {
		key := testKey(rapid.IntRange(0, 9).Draw(t, "session"))
		k.Key = string(key[:])
	} else {
		k.Key = rapid.SampledFrom([]string{"a", "b", "a/1", "a/2", "c\x00", ""}).Draw(t, "name")
	}
	cond := rapid.SampledFrom([]StoreIf{IfAny, IfAny, IfAbsent, IfPresent, IfVersion, 4}).Draw(t, "condition")
	data := rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "data")
	ttl := rapid.SampledFrom([]time.Duration{0, time.Millisecond, 30 * time.Second, MaxStoredTTL, -1, MaxStoredTTL + time.Millisecond}).Draw(t, "ttl")
	switch rapid.SampledFrom([]int{0, 0, 0, 1, 1, 2, 3, 4, 5, 5, 6}).Draw(t, "of the store") {
	case 1:
		return &StoreSplice{RequestID: id, StoreKey: k, At: uint32(rapid.IntRange(0, 9).Draw(t, "at")), Cut: uint32(rapid.IntRange(0, 9).Draw(t, "cut")), Insert: data}
	case 2:
		return &StoreDelete{RequestID: id, StoreKey: k, If: cond}
	case 3:
		return &StoreSweep{Keys: []StoreKey{k, {Space: SpaceKV, Module: k.Module, Key: "a"}, {Space: SpaceKV, Module: k.Module, Key: "b"}}}
	case 5:
		who := rapid.SampledFrom([][]string{{"n1"}, {"n1", "n2"}, {"n2", "n3"}, {"n1", "n1"}, nil}).Draw(t, "holders")
		ago := rapid.SampledFrom([]time.Duration{0, 0, 0, CopyFresh, 24 * time.Hour}).Draw(t, "taken ago")
		return &StoreCopy{RequestID: id, StoreKey: k, If: cond, TTL: ttl, Type: "t", Copy: Copy{Size: uint32(len(data)), Holders: who}, Taken: testStart.Add(24*time.Hour - ago)}
	case 6:
		who := rapid.SampledFrom([][]string{{"n1"}, {"n3", "n1"}, {""}, nil}).Draw(t, "holders")
		seen := rapid.SampledFrom([]uint64{0, 1, 20, 1 << 40}).Draw(t, "seen")
		return &StoreHolders{Taken: testStart.Add(24 * time.Hour), Seen: seen, Moves: []StoreMove{{StoreKey: k, Holders: who}, {StoreKey: StoreKey{Space: SpaceKV, Module: k.Module, Key: "a"}, Holders: who}}}
	case 4:
		return &StoreClear{RequestID: id, Space: k.Space, Module: k.Module, Actor: "a"}
	}
	return &StorePut{RequestID: id, StoreKey: k, If: cond, TTL: ttl, Type: fmt.Sprint("t", len(data)%3), Data: data}
}

// fitStore gives a command the version that is there.
func (r *replicaUnderTest) fitStore(c Command) {
	version := func(k StoreKey) uint64 {
		if v := r.s.cur.Load().store.root.Load().get(k.place()); v != nil {
			return v.Version
		}
		return 0
	}
	switch c := c.(type) {
	case *StorePut:
		c.Version = version(c.StoreKey)
	case *StoreSplice:
		c.Version = version(c.StoreKey)
	case *StoreDelete:
		c.Version = version(c.StoreKey)
	case *StoreCopy:
		c.Version = version(c.StoreKey)
	case *StoreHolders:
		for i := range c.Moves {
			c.Moves[i].Version = version(c.Moves[i].StoreKey)
		}
	}
}
