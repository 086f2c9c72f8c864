package config

import (
	"fmt"
	"strings"
)

// nodeSettings are the settings of a single node: people put them here, and the reverse.
var nodeSettings = map[string]bool{
	"datadir": true, "group": true, "peeraddr": true, "advertise": true, "adminaddr": true, "join": true,
	"jointoken": true, "bootstrap": true, "bootstrapexpect": true, "timing": true, "vip": true, "viphook": true,
	"dnsaddr": true, "dnszone": true, "sessionsaddr": true, "loglevel": true, "logformat": true, "accesslog": true,
	"traceheaders": true, "tlsdir": true, "bindaddress": true,
}

// suggest says what an unknown key was probably meant to be.
func suggest(key string, fields []field, top bool) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.key
	}
	if best := nearest(key, names); best != "" {
		return "did you mean " + best + "?"
	}
	if top && nodeSettings[plain(key)] {
		return "this is a setting of a node: give it to holdfast serve as a flag or in the node's own file"
	}
	return "allowed are " + strings.Join(names, ", ")
}

// nearest gives the name that differs from s by case, - and _, by at most two letters, or by the order of two; "" when there is none.
func nearest(s string, names []string) string {
	s = plain(clip(s))
	best, bestDistance := "", 3
	for _, name := range names {
		if len(name) > maxName {
			continue
		}
		n := plain(name)
		if d := distance(s, n); swapped(s, n) || d < bestDistance && d*2 < len(n) {
			best, bestDistance = name, d
			if swapped(s, n) {
				bestDistance = 1
			}
		}
	}
	return best
}

// meant is the hint for a name that does not exist.
func meant(name string, names []string) string {
	if best := nearest(name, names); best != "" {
		return "did you mean " + clip(best) + "?"
	}
	switch len(names) {
	case 0:
		return "there is none yet"
	case 1:
		return "there is only " + listNames(names)
	}
	return "there are " + listNames(names)
}

func plain(s string) string {
	return strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(s))
}

// swapped tells whether two letters that are next to each other are all that differs.
func swapped(a, b string) bool {
	for i := 0; i+1 < len(a) && len(a) == len(b); i++ {
		if a[i] != b[i] {
			return a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
		}
	}
	return false
}

// distance counts insertions, deletions and replacements of bytes (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := last
			if a[i] != b[j] {
				cost++
			}
			last = row[j+1]
			row[j+1] = min(cost, last+1, row[j]+1)
		}
	}
	return row[len(b)]
}

// oneOf reports a value that is not among those that work. later are the values that Holdfast knows but this version
// does not do yet.
func (p *problems) oneOf(at *path, value string, works, later []string) {
	for _, w := range works {
		if value == w {
			return
		}
	}
	supported := "write " + orList(works)
	for _, l := range later {
		if value == l {
			p.add(at, supported, "%q is not supported by this version", value)
			return
		}
	}
	if best := nearest(value, works); best != "" {
		supported = "did you mean " + best + "?"
	}
	p.add(at, supported, "%q is unknown", clip(value))
}

func orList(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return fmt.Sprintf("%s or %s", strings.Join(words[:len(words)-1], ", "), words[len(words)-1])
}
