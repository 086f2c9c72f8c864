package config

import "pgregory.net/rapid"

// drawStore gives a module a store, or none.
func drawStore(r *rapid.T) *Store {
	if rapid.Bool().Draw(r, "no store") {
		return nil
	}
	s := DefaultStore()
	s.Sessions = rapid.Bool().Draw(r, "session data")
	s.KV = !s.Sessions || rapid.Bool().Draw(r, "kv")
	s.Copies = rapid.SampledFrom([]Copies{CopiesAll, CopiesTwo}).Draw(r, "copies")
	s.MaxValue = rapid.SampledFrom([]Size{1, defaultMaxValue, mostMaxValue}).Draw(r, "maxValue")
	s.MaxBytes = rapid.SampledFrom([]Size{mostMaxValue, defaultMaxBytes, mostMaxBytes}).Draw(r, "maxBytes")
	return &s
}
