package fsm

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// roomy is a store that takes what the group takes.
func roomy() *config.Store {
	return &config.Store{Sessions: true, KV: true, MaxValue: MaxStoredValue, MaxBytes: MaxStored}
}

// TestMemoryPerStoredSession: what the data of a session takes on the heap beside its bytes is what it counts for the bounds, so that these bound the memory.
func TestMemoryPerStoredSession(t *testing.T) {
	const n, size = 50_000, 1 << 10
	before := liveHeap()
	r := stored(t, roomy())
	data := bytes.Repeat([]byte{7}, size)
	for i := range n {
		r.wantCode(r.do(&StorePut{StoreKey: ofSession(i), Type: "application/json", Data: data}), CodeOK, "")
	}
	each := float64(liveHeap()-before)/n - size
	_, total := r.s.StoreUse()
	counted := float64(total)/n - size
	if each > counted {
		t.Errorf("%.0f bytes beside the payload of each, %.0f are counted", each, counted)
	}
	runtime.KeepAlive(r)
	t.Logf("%.0f bytes beside the payload of each, %.0f are counted", each, counted)
}

// BenchmarkStorePut applies writes of 1 KiB and of 64 KiB to a store with 100,000 values.
func BenchmarkStorePut(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			r := stored(b, roomy())
			for i := range 100_000 {
				r.do(&StorePut{StoreKey: ofSession(i), Data: []byte("x")})
			}
			entries := make([][]byte, 64)
			for i := range entries {
				entries[i] = mustEncode(b, r.now, &StorePut{RequestID: testRequestID(i), StoreKey: ofSession(i * 1000), Data: bytes.Repeat([]byte{byte(i)}, size)})
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				// Another id each time, as writers have.
				e := bytes.Clone(entries[i%64])
				copy(e[headerSize:], fmt.Sprintf("%016d", i))
				seal(e, kindStorePut, r.now.UnixMilli())
				r.apply(e)
				i++
			}
		})
	}
}

// BenchmarkStoredLookup reads one value among 100,000.
func BenchmarkStoredLookup(b *testing.B) {
	r := stored(b, roomy())
	for i := range 100_000 {
		r.do(&StorePut{StoreKey: ofSession(i), Data: []byte("x")})
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if r.s.Stored(ofSession(i%100_000)) == nil {
			b.Fatal("lost")
		}
		i += 7919
	}
}
