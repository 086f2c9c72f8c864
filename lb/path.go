package lb

import (
	"net/url"
	"path"
	"strings"
)

// normalHost is a host as modules and requests are compared by: lower case, without port, brackets or the root's dot.
func normalHost(host string) string {
	if strings.HasPrefix(host, "[") {
		if end := strings.IndexByte(host, ']'); end > 0 {
			return strings.ToLower(host[1:end])
		}
	} else if i := strings.IndexByte(host, ':'); i >= 0 && strings.IndexByte(host[i+1:], ':') < 0 {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// normalRoot is a context root with a leading and without a trailing slash; the root of all is "/".
func normalRoot(root string) string {
	root = strings.Trim(root, "/")
	return "/" + root
}

// routingPath is the path that an application server would map to a context root: path parameters removed, percent encoding
// resolved, then dot segments and repeated slashes. Servlet 6.0, 3.5.2 does it in this order. The request line that is
// forwarded keeps the bytes of the client.
func routingPath(u *url.URL) string {
	p := u.Path
	if u.RawPath == "" && !strings.Contains(p, ";") && !strings.Contains(p, "//") && !strings.Contains(p, "/.") {
		return p
	}
	segments := strings.Split(u.EscapedPath(), "/")
	for i, s := range segments {
		s, _, _ = strings.Cut(s, ";")
		if plain, err := url.PathUnescape(s); err == nil {
			s = plain
		}
		segments[i] = s
	}
	clean := path.Clean("/" + strings.Join(segments, "/"))
	if strings.HasSuffix(p, "/") && clean != "/" {
		clean += "/"
	}
	return clean
}

// under reports whether p lies in the context root, which is normal.
func under(root, p string) bool {
	if root == "/" {
		return true
	}
	return strings.HasPrefix(p, root) && (len(p) == len(root) || p[len(root)] == '/')
}

// maxSessionIDLen is the longest session id that is looked at; longer ones are treated as none.
const maxSessionIDLen = 1024

// pathParam gives the value of the first path parameter of that name in an escaped path ("/a;jsessionid=X/b" has X), and the
// rest of the path after it, so that a caller can go on searching.
func pathParam(escaped, name string) (value, rest string, ok bool) {
	for {
		i := strings.IndexByte(escaped, ';')
		if i < 0 {
			return "", "", false
		}
		escaped = escaped[i+1:]
		end := strings.IndexAny(escaped, ";/")
		if end < 0 {
			end = len(escaped)
		}
		key, value, found := strings.Cut(escaped[:end], "=")
		escaped = escaped[end:]
		if !found || key != name || value == "" || len(value) > maxSessionIDLen {
			continue
		}
		if strings.IndexByte(value, '%') >= 0 {
			plain, err := url.PathUnescape(value)
			if err != nil {
				continue
			}
			value = plain
		}
		return value, escaped, true
	}
}

// withoutParams is an escaped path without any path parameter, for the access log: a session id may be among them.
func withoutParams(escaped string) string {
	if strings.IndexByte(escaped, ';') < 0 {
		return escaped
	}
	var b strings.Builder
	for segment := range strings.SplitSeq(escaped, "/") {
		s, _, _ := strings.Cut(segment, ";")
		b.WriteString(s)
		b.WriteByte('/')
	}
	out := b.String()
	return out[:len(out)-1]
}
