package lb

import (
	"net/http"
	"slices"
	"strings"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// compression says which responses of a module are compressed. It is immutable; nil compresses nothing.
type compression struct {
	offered   []coding // the preferred one first
	minLength int64    // bytes; a body of unknown length is long enough
	types     map[string]bool
	kinds     map[string]bool // as text in text/*
	level     int             // index of levels
}

// newCompression compiles the settings. What a later version has added is left out.
func newCompression(c *config.Compression) *compression {
	if c == nil {
		return nil
	}
	s := &compression{minLength: int64(c.MinLength), types: map[string]bool{}, kinds: map[string]bool{}, level: max(slices.Index([]string{"fast", "better", "best"}, c.Level), 0)}
	for _, name := range c.Encodings {
		if k := codingOf(name); k < codings && k != codingNone {
			s.offered = append(s.offered, k)
		}
	}
	for _, name := range c.Types {
		name = strings.ToLower(name)
		if kind, all := strings.CutSuffix(name, "/*"); all {
			s.kinds[kind] = true
		} else {
			s.types[name] = true
		}
	}
	if len(s.offered) == 0 {
		return nil
	}
	return s
}

// fits reports whether bodies of the media type are compressed, parameters left aside.
func (s *compression) fits(contentType string) bool {
	name, _, _ := strings.Cut(contentType, ";")
	name = strings.ToLower(strings.Trim(name, " \t"))
	if name == "text/event-stream" || strings.HasPrefix(name, "application/grpc") {
		return false // whoever sends those counts on each piece, and some readers know no coding
	}
	kind, _, _ := strings.Cut(name, "/")
	return s.types[name] || s.kinds[kind]
}

// wants reports whether a request may get a compressed response.
func (s *compression) wants(acceptLines []string) bool {
	return s != nil && len(acceptLines) > 0 && acceptEncoding(acceptLines).choose(s.offered) != codingNone
}

// maySay reports whether responses of that status have a body of their own that may be in another coding.
func maySay(status int) bool {
	switch status {
	case http.StatusNoContent, http.StatusResetContent, http.StatusPartialContent, http.StatusNotModified:
		return false
	}
	return status >= 200
}

// singular are fields of a response that speak about its very bytes: a coding would make them untrue.
var singular = []string{"Content-Encoding", "Content-Range", "Content-Digest", "Repr-Digest", "Digest", "Content-Md5"}

// speaksOfBytes reports whether one of them is there.
func speaksOfBytes(h http.Header) bool {
	for _, name := range singular {
		if _, there := h[name]; there {
			return true
		}
	}
	return false
}

// possible reports whether the response, whose head is h, is one that is compressed for clients that take it. length is -1 when it is unknown.
func (s *compression) possible(status int, h http.Header, length int64) bool {
	if !maySay(status) || length >= 0 && length < max(s.minLength, 1) || !s.fits(h.Get("Content-Type")) {
		return false
	}
	return !speaksOfBytes(h) && !headerHasToken(h["Cache-Control"], "no-transform")
}
