package config

func validateStore(p *problems, at *path, s *Store) {
	if s == nil {
		return
	}
	if !s.Sessions && !s.KV {
		p.add(at, "set sessions, kv or both to true, or leave the store out", "the store has neither the data of sessions nor keys with values")
	}
	if s.MaxValue < 1 || s.MaxValue > mostMaxValue {
		p.add(at.child("maxValue"), "write a size from 1B to "+mostMaxValue.String(), "%s is out of range", s.MaxValue)
	}
	if s.MaxBytes < s.MaxValue || s.MaxBytes > mostMaxBytes {
		p.add(at.child("maxBytes"), "write a size from maxValue to "+mostMaxBytes.String(), "%s is out of range", s.MaxBytes)
	}
}
