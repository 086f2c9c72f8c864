package lb

import (
	"strings"
)

// leavesForCompression reports whether the response may have to be compressed, which the loops do not.
func (r *direct) leavesForCompression(s *site) bool {
	for _, m := range s.modules {
		if m.compression != nil && m.compression.wants(r.field("Accept-Encoding")) {
			return true
		}
	}
	return false
}

// tellVary says that other clients may get this response compressed; see exchange.compressed.
func (r *direct) tellVary() {
	s := r.mod.compression
	if s == nil || r.t.Head.Minor == 0 || !maySay(r.t.Answer.Status) || r.t.Answer.Length >= 0 && r.t.Answer.Length < max(s.minLength, 1) {
		return
	}
	kind := ""
	for _, f := range r.t.Answer.Fields() {
		name, value := text(f.Name.Of(r.t.AnswerBuf)), text(f.Value.Of(r.t.AnswerBuf))
		switch {
		case strings.EqualFold(name, "Content-Type"):
			kind = value
		case strings.EqualFold(name, "Vary") && (headerHasToken([]string{value}, "Accept-Encoding") || headerHasToken([]string{value}, "*")):
			return
		case isSingular(name), strings.EqualFold(name, "Cache-Control") && headerHasToken([]string{value}, "no-transform"):
			return
		}
	}
	if s.fits(kind) {
		r.t.Reply.AddString("Vary", "Accept-Encoding")
	}
}

func isSingular(name string) bool {
	for _, one := range singular {
		if strings.EqualFold(name, one) {
			return true
		}
	}
	return false
}
