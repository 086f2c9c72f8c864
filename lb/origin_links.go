package lb

import (
	"net"
	"net/http"
	"slices"
	"strings"
)

// hideInLinks does for the fields that seldom name an address what hideInstances does for Location.
func (d disguise) hideInLinks(h http.Header) {
	for i, line := range h["Refresh"] {
		if maybeURL(line) {
			h["Refresh"][i] = d.shownRefresh(line)
		}
	}
	for i, line := range h["Link"] {
		if maybeURL(line) {
			h["Link"][i] = d.shownLinks(line)
		}
	}
	if list := h["Alt-Svc"]; len(list) > 0 && slices.ContainsFunc(list, d.namesInstance) {
		delete(h, "Alt-Svc") // browsers would go there by themselves, past Holdfast
	}
}

// shownRefresh puts the URL of "5; url=http://10.0.0.1:8080/" right, which browsers find without url=, too.
func (d disguise) shownRefresh(line string) string {
	const space = " \t"
	at := len(line) - len(strings.TrimLeft(line, space+"0123456789."))
	at += len(line[at:]) - len(strings.TrimLeft(line[at:], space+";,"))
	if rest := line[at:]; len(rest) > 3 && strings.EqualFold(rest[:3], "url") {
		if value, ok := strings.CutPrefix(strings.TrimLeft(rest[3:], space), "="); ok {
			at = len(line) - len(strings.TrimLeft(value, space))
		}
	}
	text := line[at:]
	if text != "" && (text[0] == '\'' || text[0] == '"') {
		text, _, _ = strings.Cut(text[1:], text[:1])
	}
	if shown, ok := d.shownURL(strings.TrimRight(text, space)); ok {
		return line[:at] + shown
	}
	return line
}

// shownLinks puts the URLs between < and >, and those of anchors, right (RFC 8288, 3).
func (d disguise) shownLinks(line string) string {
	var b strings.Builder
	for rest := line; ; {
		from := strings.IndexByte(rest, '<')
		to := from + strings.IndexByte(rest[max(from, 0):], '>')
		if from < 0 || to < from {
			b.WriteString(d.shownAnchor(rest))
			return b.String()
		}
		b.WriteString(d.shownAnchor(rest[:from]))
		b.WriteByte('<')
		if shown, ok := d.shownURL(rest[from+1 : to]); ok {
			b.WriteString(shown)
		} else {
			b.WriteString(rest[from+1 : to])
		}
		rest = rest[to:]
	}
}

// shownAnchor puts the anchors among the parameters of links right, which say what they are links of.
func (d disguise) shownAnchor(parameters string) string {
	const space, name = " \t", "anchor"
	var b strings.Builder
	rest := parameters
	for i := 0; i+len(name) <= len(rest); i++ { // byte by byte: what is no UTF-8 has another length in lower case
		if !strings.EqualFold(rest[i:i+len(name)], name) {
			continue
		}
		value, ok := strings.CutPrefix(strings.TrimLeft(rest[i+len(name):], space), "=")
		if !ok {
			continue
		}
		value = strings.TrimPrefix(strings.TrimLeft(value, space), `"`)
		end := strings.IndexAny(value, `"; ,`)
		if end < 0 {
			end = len(value)
		}
		if shown, found := d.shownURL(value[:end]); found {
			b.WriteString(rest[:len(rest)-len(value)])
			b.WriteString(shown)
			rest, i = value[end:], -1
		}
	}
	b.WriteString(rest)
	return b.String()
}

// namesInstance reports whether an alternative of Alt-Svc (RFC 7838, 3) is on the host of an instance: h2="10.0.0.1:8443".
func (d disguise) namesInstance(line string) bool {
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 0 {
			continue
		}
		host, _, err := net.SplitHostPort(part)
		if err == nil && host != "" && !d.clientGoesBy(host) && d.isInstance(func(e *endpoint) bool { return e.goesBy(host) }) {
			return true
		}
	}
	return false
}
