package lb

import (
	"strings"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// patterns are the declared idempotent requests of a module: URL patterns by the rules of servlet mappings (Servlet 6.0, 12.1), relative
// to the context root.
type patterns struct {
	exact map[string]int // retries by path
	paths []pathPattern
	ext   map[string]int // retries by extension
	all   int            // of the pattern "/", when hasAll
	// hasAll: the pattern "/" is declared.
	hasAll bool
}

type pathPattern struct {
	prefix  string // of /foo/*: /foo
	retries int
}

func newPatterns(list []config.Pattern) patterns {
	var p patterns
	for _, c := range list {
		if prefix, ok := strings.CutSuffix(c.Pattern, "/*"); ok {
			p.paths = append(p.paths, pathPattern{prefix, c.Retries})
			continue
		}
		if ext, ok := strings.CutPrefix(c.Pattern, "*."); ok {
			if p.ext == nil {
				p.ext = map[string]int{}
			}
			p.ext[ext] = c.Retries
			continue
		}
		if c.Pattern == "/" {
			p.all, p.hasAll = c.Retries, true
			continue
		}
		if p.exact == nil {
			p.exact = map[string]int{}
		}
		p.exact[c.Pattern] = c.Retries
	}
	return p
}

// match gives the retries of the most specific pattern for a path below the context root: an exact one, then the longest path, then the
// extension, then "/".
func (p *patterns) match(path string) (retries int, ok bool) {
	if path == "" {
		path = "/"
	}
	if retries, ok = p.exact[path]; ok {
		return retries, true
	}
	longest := -1
	for _, c := range p.paths {
		if len(c.prefix) > longest && strings.HasPrefix(path, c.prefix) && (len(path) == len(c.prefix) || path[len(c.prefix)] == '/') {
			longest, retries = len(c.prefix), c.retries
		}
	}
	if longest >= 0 {
		return retries, true
	}
	last := path[strings.LastIndexByte(path, '/')+1:]
	if dot := strings.LastIndexByte(last, '.'); dot >= 0 {
		if retries, ok = p.ext[last[dot+1:]]; ok {
			return retries, true
		}
	}
	return p.all, p.hasAll
}
