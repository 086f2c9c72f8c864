package lb

import (
	"strings"
)

// coding is a content coding that Holdfast applies.
type coding uint8

const (
	codingNone coding = iota
	codingGzip
	codingZstd
	codings
)

var codingNames = [codings]string{"identity", "gzip", "zstd"}

// Bounds of what is looked at in Accept-Encoding: what browsers send has 30 characters and five members.
const (
	maxAcceptLen     = 1 << 10
	maxAcceptMembers = 32
)

// acceptedCodings is what a client says about content codings: a weight from 0 to 1000 for each, -1 where nothing is said.
type acceptedCodings struct{ weight [codings]int }

// acceptEncoding reads the lines of Accept-Encoding (RFC 9110 section 12.5.3). What breaks its grammar, is longer than any honest list or has more members is not
// obeyed at all: identity is always right. Nothing said gives identity as well, although it would allow anything: such a client may know no coding.
func acceptEncoding(lines []string) acceptedCodings {
	a := acceptedCodings{[codings]int{-1, -1, -1}}
	star, members, length := -1, 0, 0
	for _, line := range lines {
		if length += len(line); length > maxAcceptLen {
			return identityOnly
		}
		for len(line) > 0 {
			var member string
			member, line, _ = strings.Cut(line, ",")
			if member = strings.Trim(member, " \t"); member == "" {
				continue // a list may have empty members (RFC 9110 section 5.6.1.2)
			}
			if members++; members > maxAcceptMembers {
				return identityOnly
			}
			name, weight, ok := weighted(member)
			if !ok {
				return identityOnly
			}
			switch c := codingOf(name); {
			case name == "*":
				star = lower(star, weight)
			case c < codings:
				a.weight[c] = lower(a.weight[c], weight)
			}
		}
	}
	for c := range a.weight {
		if a.weight[c] < 0 && star >= 0 && (coding(c) != codingZstd || star == 0) { // zstd is younger than some clients that say * and mean gzip
			a.weight[c] = star
		}
	}
	return a
}

// lower gives the lesser of two weights for one coding, of which the first may be missing: who says two things is safe with the lesser.
func lower(said, weight int) int {
	if said < 0 {
		return weight
	}
	return min(said, weight)
}

var identityOnly = acceptedCodings{[codings]int{1000, 0, 0}}

// codingOf gives codings for a name that is none of ours.
func codingOf(name string) coding {
	switch {
	case strings.EqualFold(name, "gzip"), strings.EqualFold(name, "x-gzip"): // RFC 9110 section 8.4.1.3
		return codingGzip
	case strings.EqualFold(name, "zstd"):
		return codingZstd
	case strings.EqualFold(name, "identity"):
		return codingNone
	}
	return codings
}

// weighted reads one member: a token, and a weight that is 1 when it is missing.
func weighted(member string) (name string, weight int, ok bool) {
	name, parameter, has := strings.Cut(member, ";")
	name = strings.TrimRight(name, " \t")
	if !isToken(name) {
		return "", 0, false
	}
	if !has {
		return name, 1000, true
	}
	parameter = strings.TrimLeft(parameter, " \t")
	if len(parameter) < 3 || parameter[0]|0x20 != 'q' || parameter[1] != '=' {
		return "", 0, false
	}
	weight, ok = qvalue(parameter[2:])
	return name, weight, ok
}

// qvalue reads a weight in thousandths: 0 or 1, with at most three decimals, which are zeros after a 1 (RFC 9110 section 12.4.2).
func qvalue(text string) (int, bool) {
	if len(text) > len("0.000") || text[0] != '0' && text[0] != '1' || len(text) > 1 && text[1] != '.' {
		return 0, false
	}
	value, unit := int(text[0]-'0')*1000, 100
	for i := 2; i < len(text); i++ {
		if text[i] < '0' || text[i] > '9' {
			return 0, false
		}
		value += int(text[i]-'0') * unit
		unit /= 10
	}
	return value, value <= 1000
}

// isToken: RFC 9110 section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

// choose gives the coding that the client likes best of the offered ones, the first of equals. A client that prefers identity gets it.
func (a acceptedCodings) choose(offered []coding) coding {
	best, weight := codingNone, max(a.weight[codingNone], 0)
	if a.weight[codingNone] < 0 {
		weight = 0 // identity is acceptable, and never asked for
	}
	for _, c := range offered {
		if w := a.weight[c]; w > 0 && (w > weight || w == weight && best == codingNone) {
			best, weight = c, w
		}
	}
	return best
}
