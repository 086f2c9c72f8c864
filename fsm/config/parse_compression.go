package config

// compression reads the compression of a module; null is none, {} all of its defaults.
func (d decoder) compression(dst **Compression) func(n *node, at *path) {
	return func(n *node, at *path) {
		if n.kind == kindNull {
			return
		}
		c := DefaultCompression()
		d.object(n, at, []field{
			{"encodings", d.instead(&c.Encodings)},
			{"minLength", d.size(&c.MinLength)},
			{"types", d.instead(&c.Types)},
			{"level", d.text(&c.Level)},
		})
		*dst = &c
	}
}
