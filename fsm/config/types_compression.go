package config

import "slices"

// Compression says which responses of a module are compressed for clients that take it. A module without it compresses nothing.
type Compression struct {
	// Encodings are zstd and gzip ([zstd, gzip]): the first of them that the client likes best is used.
	Encodings []string `json:"encodings"`
	// MinLength is how long a body of known length must be at least (1KiB).
	MinLength Size `json:"minLength"`
	// Types are the media types that are compressed, as in text/html, or text/* for all of a kind.
	Types []string `json:"types"`
	// Level is fast (default), better or best.
	Level string `json:"level"`
}

const defaultMinLength = Size(1 << 10)

// defaultTypes are those of text whose form gains much; what is compressed in itself (images, videos, archives) is not among them.
var defaultTypes = []string{
	"text/html", "text/css", "text/plain", "text/xml", "text/csv", "text/markdown", "text/javascript", "application/javascript", "application/json", "application/ld+json",
	"application/manifest+json", "application/problem+json", "application/xml", "application/xhtml+xml", "application/atom+xml", "application/rss+xml", "application/wasm", "image/svg+xml",
}

// DefaultCompression is what a module has that asks for compression and says nothing else.
func DefaultCompression() Compression {
	return Compression{Encodings: []string{"zstd", "gzip"}, MinLength: defaultMinLength, Types: slices.Clone(defaultTypes), Level: "fast"}
}

// cloneCompression is for Clone.
func cloneCompression(m *Module) {
	if m.Compression != nil {
		c := *m.Compression
		c.Encodings, c.Types = slices.Clone(c.Encodings), slices.Clone(c.Types)
		m.Compression = &c
	}
}
