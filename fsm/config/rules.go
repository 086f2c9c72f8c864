package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

const maxName = 128

// uniqueNames checks the names of one kind of thing in one scope.
type uniqueNames struct {
	p     *problems
	what  string
	scope string // name of the cluster, "" for the group
	first map[string]*path
}

func (u *uniqueNames) check(at *path, name string) (ok bool) {
	if name == "" {
		u.p.add(at, "", "the %s has no name", u.what)
		return false
	}
	if !validName(name) {
		u.p.add(at, fmt.Sprintf("use 1 to %d letters, digits, '.', '_' and '-', beginning with a letter, a digit or '_'", maxName), "%q cannot be the name of %s", clip(name), withArticle(u.what))
		return false
	}
	if other, dup := u.first[name]; dup {
		in := ""
		if u.scope != "" {
			in = fmt.Sprintf(" in cluster %q", clip(u.scope))
		}
		u.p.add(at, "rename one of them", "%s %q is there twice%s: also %s", u.what, clip(name), in, u.p.where(other))
		return false
	}
	if u.first == nil {
		u.first = map[string]*path{}
	}
	u.first[name] = at
	return true
}

func withArticle(what string) string {
	if strings.ContainsRune("aeiou", rune(what[0])) {
		return "an " + what
	}
	return "a " + what
}

func validName(s string) bool {
	if len(s) == 0 || len(s) > maxName || s[0] == '.' || s[0] == '-' {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !isAlnum(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// cookieName wants a token (RFC 6265 4.1.1, RFC 9110 5.6.2). The prefixes __Host- and __Secure- have browsers drop a
// cookie that is not marked Secure or has another path (RFC 6265bis 4.1.3), as Holdfast's may be.
func (p *problems) cookieName(at *path, name string) {
	if len(name) == 0 || len(name) > maxName {
		p.add(at, "", "the name of a cookie has 1 to %d characters", maxName)
		return
	}
	if !isToken(name) {
		p.add(at, "use letters, digits and '_'", "%q cannot be the name of a cookie", clip(name))
		return
	}
	if lower := strings.ToLower(name); strings.HasPrefix(lower, "__host-") || strings.HasPrefix(lower, "__secure-") {
		p.add(at, "choose another name", "browsers treat cookies named %q in a way that is not supported by this version", clip(name))
	}
}

// isToken: RFC 9110 5.6.2.
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isAlnum(s[i]) && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(s[i])) {
			return false
		}
	}
	return s != ""
}

// fits bounds a list whose values are compared with one another.
func (p *problems) fits(at *path, what string, n int) bool {
	if n > maxList {
		p.add(at, "remove some", "%d %s, at most %d are taken", n, what, maxList)
	}
	return n <= maxList
}

// nameList checks names of things that only the nodes know.
func (p *problems) nameList(at *path, what string, names []string) {
	if !p.fits(at, what+"s", len(names)) {
		return
	}
	seen := uniqueNames{p: p, what: what}
	for i, name := range names {
		seen.check(at.item(i), name)
	}
}

func (p *problems) between(at *path, v, low, high int) {
	if v < low || v > high {
		p.add(at, "", "%d is out of range, must be from %d to %d", v, low, high)
	}
}

func (p *problems) within(at *path, v, low, high Duration) {
	if v < low || v > high {
		p.add(at, "", "%v is out of range, must be from %v to %v", v, low, high)
	}
}

// inherited checks a quiesceTimeout below the cluster's: one that is the cluster's has been checked there.
func (p *problems) inherited(at *path, v, cluster Duration) {
	if v != cluster {
		p.within(at, v, second, year)
	}
}

// label checks free text that ends up in tables and metrics.
func (p *problems) label(at *path, text string) {
	if len(text) > maxName || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		p.add(at, "", "%q must be at most %d characters of ASCII without spaces", clip(text), maxName)
	}
}

// checkContextRoot wants the path of a module in decoded form and in its one spelling: requests are compared with it
// after they have been brought into the same.
func checkContextRoot(root string) (why, hint string) {
	switch {
	case root == "":
		return "a context root is missing", "write contextRoot: / for everything"
	case root[0] != '/':
		return fmt.Sprintf("context root %q must begin with /", clip(root)), "write " + clip("/"+root)
	case len(root) > 1000:
		return "the context root has more than 1000 characters", ""
	}
	for _, r := range root {
		// pchar of RFC 3986 3.3 without '%' and ';': escapes have several spellings, and ';' begins a path parameter.
		if (r >= utf8.RuneSelf || !isAlnum(byte(r))) && !strings.ContainsRune("/-._~!$&'()*+,=:@", r) {
			return fmt.Sprintf("context root %q has the character %q", clip(root), r), "use letters, digits and /-._~ ; no escapes, spaces or query"
		}
	}
	for segment := range strings.SplitSeq(trimRoot(root)[1:], "/") {
		if segment == "." || segment == ".." || segment == "" && root != "/" {
			return fmt.Sprintf("context root %q has an empty, '.' or '..' segment", clip(root)), "write the path that it stands for"
		}
	}
	return "", ""
}

func checkHealthPath(path string) error {
	if path == "" || path[0] != '/' {
		return errors.New("must begin with /")
	}
	if len(path) > 1000 {
		return errors.New("more than 1000 characters")
	}
	for i := 0; i < len(path); i++ {
		if path[i] <= ' ' || path[i] > '~' || path[i] == '#' {
			return fmt.Errorf("must not have the character %q; write it as %%%02X", path[i], path[i])
		}
	}
	return nil
}

// describeURL quotes a URL for a message, without the password that one with a user may have.
func describeURL(text string) string {
	if strings.Contains(text, "@") {
		return "the URL"
	}
	return fmt.Sprintf("%q", clip(text))
}
