package lb

import (
	"net"
	"net/http"
	"net/url"
	"strings"
)

// Clients know the address of the listener and no other. An application that names its own one in a redirect or a cookie would lead them past Holdfast, where
// nobody fails over, so that those are put right on the way. Addresses in bodies are the application's business: it gets the client's Host.

// disguise puts the addresses of a cluster's instances right in what a client is told.
type disguise struct {
	cluster      *cluster
	host, scheme string // by which the client reaches Holdfast
}

// disguise is that of the cluster which has the request now.
func (x *exchange) disguise() disguise { return disguise{x.mod.cluster, x.client.host, x.scheme()} }

// hideInstances replaces the addresses of the cluster's instances in the head of a response.
func (x *exchange) hideInstances(h http.Header) { x.disguise().hide(h) }

func (d disguise) hide(h http.Header) {
	for _, name := range [...]string{"Location", "Content-Location"} {
		for i, line := range h[name] {
			if shown, ok := d.shownURL(line); ok {
				h[name][i] = shown // applications that say it twice are there
			}
		}
	}
	d.hideInLinks(h)
	for i, line := range h["Set-Cookie"] {
		if hasDomain(line) {
			h["Set-Cookie"][i] = d.shownCookie(line)
		}
	}
}

// maybeURL reports whether a value may name a host: a scheme, two slashes, or what browsers take for them.
func maybeURL(value string) bool {
	if strings.IndexByte(value, ':') >= 0 {
		return true
	}
	for i := 1; i < len(value); i++ {
		if isSlash(value[i]) && isSlash(value[i-1]) {
			return true
		}
	}
	return false
}

// hasDomain reports whether a Set-Cookie line may have a Domain.
func hasDomain(line string) bool {
	return strings.Contains(line, "=") && strings.Contains(strings.ToLower(line), "domain")
}

// shownURL gives the URL by which the client reaches what an instance calls by its own address; false when it is no instance's. It reads what browsers would go to,
// also where that is no URL by RFC 3986: applications write "100%" into their redirects, and Windows' separators.
func (d disguise) shownURL(text string) (string, bool) {
	if strings.IndexByte(text, '\t') >= 0 { // browsers do not see them
		text = strings.ReplaceAll(text, "\t", "")
	}
	scheme, at, rest := splitURL(text)
	at = at[strings.LastIndexByte(at, '@')+1:]
	if at == "" || strings.EqualFold(at, d.host) {
		return "", false
	}
	host, port := at, ""
	if i := strings.LastIndexByte(at, ':'); i > strings.LastIndexByte(at, ']') {
		host, port = at[:i], at[i+1:]
	}
	host = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSuffix(host, "]"), "["), ".")
	if strings.IndexByte(host, '%') >= 0 {
		if plain, err := url.PathUnescape(host); err == nil {
			host = plain
		}
	}
	scheme = strings.ToLower(scheme)
	if port = strings.TrimLeft(port, "0"); port == "" {
		port = map[string]string{"": "80", "http": "80", "ws": "80", "https": "443", "wss": "443"}[scheme]
	}
	if !d.isInstance(func(e *endpoint) bool { return e.hasPort(port) && e.goesBy(host) }) {
		return "", false
	}
	switch {
	case d.host == "": // of HTTP/1.0, which knows only where it is connected to
		if len(rest) > 1 && isSlash(rest[0]) && isSlash(rest[1]) {
			return "/." + rest, true // two would begin a host
		}
		return "/" + strings.TrimLeft(rest, `/\`), true
	case scheme == "":
		return "//" + d.host + rest, true
	case strings.HasPrefix(scheme, "ws"):
		return map[string]string{"http": "ws", "https": "wss"}[d.scheme] + "://" + d.host + rest, true
	}
	return d.scheme + "://" + d.host + rest, true
}

func isSlash(c byte) bool { return c == '/' || c == '\\' }

// splitURL finds the authority of a URL as browsers do, who take \ for / and any number of them, behind a scheme of the web also one or none; it is empty where the URL
// names none.
func splitURL(text string) (scheme, authority, rest string) {
	rest = text
	if colon := strings.IndexAny(text, `:/\?#`); colon > 0 && text[colon] == ':' {
		scheme, rest = text[:colon], text[colon+1:]
	}
	behind := strings.TrimLeft(rest, `/\`)
	if len(rest)-len(behind) < 2 && !isWebScheme(scheme) {
		return "", "", ""
	}
	rest = behind
	end := strings.IndexAny(rest, `/\?#`)
	if end < 0 {
		end = len(rest)
	}
	return scheme, rest[:end], rest[end:]
}

func isWebScheme(scheme string) bool {
	switch strings.ToLower(scheme) {
	case "http", "https", "ws", "wss":
		return true
	}
	return false
}

// shownCookie takes the Domain out of a cookie that is the host of an instance, unless the client goes by that host too: a cookie without one is for the host
// that the client knows.
func (d disguise) shownCookie(line string) string {
	parts := strings.Split(line, ";")
	kept := parts[:1]
	for _, p := range parts[1:] {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		domain := strings.Trim(strings.TrimPrefix(strings.TrimSpace(value), "."), "[]")
		if strings.EqualFold(strings.TrimSpace(name), "domain") && !d.clientGoesBy(domain) && d.isInstance(func(e *endpoint) bool { return e.goesBy(domain) }) {
			continue
		}
		kept = append(kept, p)
	}
	return strings.Join(kept, ";")
}

// clientGoesBy reports whether the host that the client asked for is in the domain.
func (d disguise) clientGoesBy(domain string) bool {
	host := d.host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host, domain = strings.ToLower(host), strings.ToLower(domain)
	return host == domain || strings.HasSuffix(host, "."+domain)
}

// isInstance looks through the listeners of the cluster.
func (d disguise) isInstance(is func(*endpoint) bool) bool {
	for _, in := range d.cluster.instances {
		for _, e := range *in.state.endpoints.Load() {
			if is(e) {
				return true
			}
		}
	}
	return false
}
