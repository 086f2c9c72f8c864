package config

import (
	"fmt"
	"slices"
	"strings"
)

func validateModules(p *problems, at *path, c *Cluster) {
	type key struct{ host, root string }
	first := map[key]*path{}
	for i := range c.Modules {
		if p.full() {
			p.more = true
			return
		}
		m, at := &c.Modules[i], at.item(i)
		if why, hint := checkContextRoot(m.ContextRoot); why != "" {
			p.add(at.child("contextRoot"), hint, "%s", why)
		}
		if m.Host != "" && !validHost(strings.ToLower(m.Host)) {
			p.add(at.child("host"), "write a name as in www.example.com, without a port, or leave it out for all hosts", "%q is not a host name or an IPv4 address", clip(m.Host))
		}
		p.inherited(at.child("quiesceTimeout"), m.QuiesceTimeout, c.QuiesceTimeout)
		p.between(at.child("retries"), m.Retries, -1, 100)
		validatePatterns(p, at.child("idempotent"), m.Idempotent)
		p.oneOf(at.child("onSessionLost"), m.OnSessionLost, []string{"reassign", "refuse"}, nil)
		p.oneOf(at.child("whenDisabled"), m.WhenDisabled, []string{"unavailable", "not-found"}, nil)
		validateModuleLimits(p, at.child("limits"), m.Limits)
		validateStore(p, at.child("store"), m.Store)
		validateCompression(p, at.child("compression"), m.Compression)
		k := key{strings.ToLower(m.Host), trimRoot(m.ContextRoot)}
		if other, dup := first[k]; dup && m.ContextRoot != "" {
			p.add(at, "remove one; the same module in another cluster is allowed", "cluster %q has the module %q of host %q already: %s", clip(c.Name), k.root, k.host, p.where(other))
			continue
		}
		first[k] = at
	}
}

func validatePatterns(p *problems, at *path, list []Pattern) {
	if !p.fits(at, "patterns", len(list)) {
		return
	}
	for i, v := range list {
		at := at.item(i)
		if why, hint := checkPattern(v.Pattern); why != "" {
			p.add(at.child("pattern"), hint, "%s", why)
		} else if slices.ContainsFunc(list[:i], func(other Pattern) bool { return other.Pattern == v.Pattern }) {
			p.add(at.child("pattern"), "remove one of them", "pattern %q is there twice", clip(v.Pattern))
		}
		p.between(at.child("retries"), v.Retries, -1, 100)
	}
}

// checkPattern wants one of the forms of servlet mappings (Servlet 6.0, 12.2): a path in decoded form, a path with /* at its end, *.extension, or /.
func checkPattern(text string) (why, hint string) {
	const forms = "write /path/*, *.ext, an exact /path, or / for all"
	switch {
	case text == "":
		return "a pattern is missing", forms
	case text == "/" || text == "/*":
		return "", ""
	case strings.HasPrefix(text, "*."):
		if ext := text[2:]; len(text) > maxName || ext == "" || strings.ContainsFunc(ext, func(r rune) bool { return r > '~' || !isAlnum(byte(r)) && !strings.ContainsRune("-_~!$+", r) }) {
			return fmt.Sprintf("pattern %q has no extension of letters and digits", clip(text)), "write it as in *.jpg"
		}
		return "", ""
	case text[0] != '/':
		return fmt.Sprintf("pattern %q begins with neither / nor *.", clip(text)), forms
	}
	prefix := strings.TrimSuffix(text, "/*")
	if strings.Contains(prefix, "*") {
		return fmt.Sprintf("pattern %q has a * in the middle", clip(text)), "a * stands only in /* at the end or in *.ext"
	}
	if why, _ := checkContextRoot(prefix); why != "" {
		return strings.Replace(why, "context root", "pattern", 1), "write the path as it is after decoding, below the context root; no escapes and no query"
	}
	return "", ""
}
