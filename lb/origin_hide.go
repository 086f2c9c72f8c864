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
		if list := h[name]; len(list) == 1 && maybeURL(list[0]) {
			if shown, ok := d.shownURL(list[0]); ok {
				list[0] = shown
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

// maybeURL reports whether the value of Location may name an address.
func maybeURL(value string) bool { return strings.Contains(value, "//") }

// hasDomain reports whether a Set-Cookie line may have a Domain.
func hasDomain(line string) bool {
	return strings.Contains(line, "=") && strings.Contains(strings.ToLower(line), "domain")
}

// shownURL gives the URL by which the client reaches what an instance calls by its own address; false when it is no instance's.
func (d disguise) shownURL(text string) (string, bool) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || d.host == "" || strings.EqualFold(u.Host, d.host) {
		return "", false
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"": "80", "http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
	}
	if !d.isInstance(func(e *endpoint) bool { return strings.EqualFold(e.hostPort, net.JoinHostPort(u.Hostname(), port)) }) {
		return "", false
	}
	u.Host = d.host
	if u.Scheme != "" {
		u.Scheme = d.scheme
	}
	return u.String(), true
}

// shownCookie takes the Domain out of a cookie that is the host of an instance, unless the client goes by that host too: a cookie without one is for the host
// that the client knows.
func (d disguise) shownCookie(line string) string {
	parts := strings.Split(line, ";")
	kept := parts[:1]
	for _, p := range parts[1:] {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		domain := strings.TrimPrefix(strings.TrimSpace(value), ".")
		if strings.EqualFold(strings.TrimSpace(name), "domain") && !d.clientGoesBy(domain) && d.isInstance(func(e *endpoint) bool { return isHostOf(e.hostPort, domain) }) {
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

func isHostOf(hostPort, name string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	return err == nil && name != "" && strings.EqualFold(host, name)
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
