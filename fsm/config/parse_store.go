package config

// store reads the store of a module; nothing at all is none.
func (d decoder) store(dst **Store) func(n *node, at *path) {
	return func(n *node, at *path) {
		if n.kind == kindNull {
			return
		}
		s := DefaultStore()
		d.object(n, at, []field{
			{"sessions", d.boolean(&s.Sessions)},
			{"kv", d.boolean(&s.KV)},
			{"copies", d.copies(&s.Copies)},
			{"maxValue", d.size(&s.MaxValue)},
			{"maxBytes", d.size(&s.MaxBytes)},
		})
		*dst = &s
	}
}

// copies reads all or 2; a number needs no quotes.
func (d decoder) copies(dst *Copies) func(n *node, at *path) {
	return func(n *node, at *path) {
		if n.kind != kindNumber && !d.want(kindString, n, at) {
			return
		}
		if err := dst.UnmarshalText([]byte(n.text)); err != nil {
			d.p.addAt(n.line, n.column, at, "write all (every node has the bytes, in the log) or 2 (two nodes have them, beside it)", "%.40q is neither all nor 2", n.text)
		}
	}
}
