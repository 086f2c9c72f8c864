package lb

import (
	"net"
	"net/http"
	"slices"
	"strings"
)

// hideInLinks does for the fields that seldom name an address what hideInstances does for Location.
func (d disguise) hideInLinks(h http.Header) {
	if list := h["Refresh"]; len(list) == 1 {
		list[0] = d.shownRefresh(list[0])
	}
	for i, line := range h["Link"] {
		h["Link"][i] = d.shownLinks(line)
	}
	if list := h["Alt-Svc"]; len(list) > 0 && slices.ContainsFunc(list, d.namesInstance) {
		delete(h, "Alt-Svc") // browsers would go there by themselves, past Holdfast
	}
}

// shownRefresh puts the URL of "5; url=http://10.0.0.1:8080/" right.
func (d disguise) shownRefresh(line string) string {
	i := strings.Index(strings.ToLower(line), "url=")
	if i < 0 || !strings.Contains(line, "//") {
		return line
	}
	i += len("url=")
	text := strings.Trim(line[i:], " \t'\"")
	if shown, ok := d.shownURL(text); ok {
		return line[:i] + shown
	}
	return line
}

// shownLinks puts the URLs between < and > right (RFC 8288, 3).
func (d disguise) shownLinks(line string) string {
	if !strings.Contains(line, "//") {
		return line
	}
	var b strings.Builder
	for rest := line; ; {
		from := strings.IndexByte(rest, '<')
		to := from + strings.IndexByte(rest[max(from, 0):], '>')
		if from < 0 || to < from {
			b.WriteString(rest)
			return b.String()
		}
		b.WriteString(rest[:from+1])
		if shown, ok := d.shownURL(rest[from+1 : to]); ok {
			b.WriteString(shown)
		} else {
			b.WriteString(rest[from+1 : to])
		}
		rest = rest[to:]
	}
}

// namesInstance reports whether an alternative of Alt-Svc (RFC 7838, 3) is on the host of an instance: h2="10.0.0.1:8443".
func (d disguise) namesInstance(line string) bool {
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 0 {
			continue
		}
		host, _, err := net.SplitHostPort(part)
		if err == nil && host != "" && !d.clientGoesBy(host) && d.isInstance(func(e *endpoint) bool { return isHostOf(e.hostPort, host) }) {
			return true
		}
	}
	return false
}
