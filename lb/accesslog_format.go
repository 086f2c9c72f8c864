package lb

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// logEntry is what a line of the access log can say. Query, path parameters and cookies are not there: session ids may be in them.
type logEntry struct {
	time                                   time.Time
	node, listener, client                 string
	peer                                   netip.Addr
	method, host, path, proto, scheme      string
	status                                 int
	bytes, received                        int64
	took                                   time.Duration
	cluster, instance                      string
	assigned, lost                         bool
	retries                                int
	problem, requestID, userAgent, referer string
	traceID, encoding                      string
}

// logFormat says which requests are logged and how. It is immutable.
type logFormat struct {
	off, combined bool
	sample        int  // one of so many; failures always
	agents        bool // user agent or referer are wanted
	fields        []logField
}

// logField is one member of a line of JSON.
type logField struct {
	name  string // with quotes and colon
	write func([]byte, *logEntry) []byte
	// silent tells that the member would say nothing, and is left out; nil: it is always there.
	silent func(*logEntry) bool
}

// usualLogFields are those of a format that names none.
var usualLogFields = []string{"time", "node", "listener", "client", "method", "host", "path", "proto", "status", "bytes", "received", "ms", "cluster", "instance", "assigned", "lost", "retries", "error", "requestId", "traceId", "encoding"}

func newLogFormat(c *config.AccessLog) *logFormat {
	f := &logFormat{off: c.Format == "off", combined: c.Format == "combined", sample: max(c.Sample, 1)}
	names := c.Fields
	if len(names) == 0 {
		names = usualLogFields
	}
	for _, name := range names {
		field, ok := logFields[name]
		if !ok {
			continue // a later version's
		}
		field.name = strconv.Quote(name) + ":"
		if len(c.Fields) > 0 {
			field.silent = nil // whoever names a field wants a column
		}
		f.fields = append(f.fields, field)
	}
	f.agents = f.combined || slices.Contains(names, "userAgent") || slices.Contains(names, "referer")
	return f
}

// wants reports whether a request is logged: each that failed, and one of so many of the others.
func (f *logFormat) wants(status int, failed bool) bool {
	return !f.off && (f.sample == 1 || failed || status >= 500 || rand.IntN(f.sample) == 0)
}

// line appends one line with its end.
func (f *logFormat) line(b []byte, e *logEntry) []byte {
	if f.combined {
		return e.combined(b)
	}
	b = append(b, '{')
	first := true
	for i := range f.fields {
		field := &f.fields[i]
		if field.silent != nil && field.silent(e) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = field.write(append(b, field.name...), e)
	}
	return append(b, '}', '\n')
}

var logFields = map[string]logField{
	"time":     {write: func(b []byte, e *logEntry) []byte { return e.time.UTC().AppendFormat(b, `"2006-01-02T15:04:05.000Z"`) }},
	"node":     textField(func(e *logEntry) string { return e.node }, false),
	"listener": textField(func(e *logEntry) string { return e.listener }, true),
	"client":   textField(func(e *logEntry) string { return e.client }, false),
	"peer":     {write: func(b []byte, e *logEntry) []byte { return e.appendPeer(b) }},
	"method":   textField(func(e *logEntry) string { return e.method }, false),
	"host":     textField(func(e *logEntry) string { return e.host }, false),
	"path":     textField(func(e *logEntry) string { return e.path }, false),
	"proto":    textField(func(e *logEntry) string { return e.proto }, false),
	"scheme":   textField(func(e *logEntry) string { return e.scheme }, false),
	"status":   {write: func(b []byte, e *logEntry) []byte { return strconv.AppendInt(b, int64(e.status), 10) }},
	"bytes":    {write: func(b []byte, e *logEntry) []byte { return strconv.AppendInt(b, e.bytes, 10) }},
	"received": {write: func(b []byte, e *logEntry) []byte { return strconv.AppendInt(b, e.received, 10) }, silent: func(e *logEntry) bool { return e.received == 0 }},
	"ms": {write: func(b []byte, e *logEntry) []byte {
		return strconv.AppendFloat(b, float64(e.took.Microseconds())/1000, 'f', -1, 64)
	}},
	"cluster":   textField(func(e *logEntry) string { return e.cluster }, true),
	"instance":  textField(func(e *logEntry) string { return e.instance }, true),
	"assigned":  {write: func(b []byte, e *logEntry) []byte { return strconv.AppendBool(b, e.assigned) }},
	"lost":      {write: func(b []byte, e *logEntry) []byte { return strconv.AppendBool(b, e.lost) }, silent: func(e *logEntry) bool { return !e.lost }},
	"retries":   {write: func(b []byte, e *logEntry) []byte { return strconv.AppendInt(b, int64(e.retries), 10) }, silent: func(e *logEntry) bool { return e.retries == 0 }},
	"error":     textField(func(e *logEntry) string { return e.problem }, true),
	"requestId": textField(func(e *logEntry) string { return e.requestID }, true),
	"traceId":   textField(func(e *logEntry) string { return e.traceID }, true),
	"encoding":  textField(func(e *logEntry) string { return e.encoding }, true),
	"userAgent": textField(func(e *logEntry) string { return e.userAgent }, false),
	"referer":   textField(func(e *logEntry) string { return e.referer }, false),
}

// textField is a member of text; optional ones are left out when they are empty.
func textField(text func(*logEntry) string, optional bool) logField {
	f := logField{write: func(b []byte, e *logEntry) []byte { return appendJSON(b, text(e)) }}
	if optional {
		f.silent = func(e *logEntry) bool { return text(e) == "" }
	}
	return f
}

func (e *logEntry) appendPeer(b []byte) []byte {
	switch {
	case !e.peer.IsValid():
		return append(b, `""`...)
	case e.peer.Zone() != "": // which may be any text
		return appendJSON(b, e.peer.String())
	}
	return append(e.peer.AppendTo(append(b, '"')), '"')
}

// combined is the format of Apache's httpd and of nginx.
func (e *logEntry) combined(b []byte) []byte {
	b = appendPlain(b, e.client)
	b = e.time.AppendFormat(append(b, " - - "...), "[02/Jan/2006:15:04:05 -0700] ")
	b = appendPlain(append(b, '"'), e.method)
	b = appendPlain(append(b, ' '), e.path)
	b = appendPlain(append(b, ' '), e.proto)
	b = strconv.AppendInt(append(b, `" `...), int64(e.status), 10)
	if b = append(b, ' '); e.bytes == 0 {
		b = append(b, '-')
	} else {
		b = strconv.AppendInt(b, e.bytes, 10)
	}
	b = appendPlain(append(b, ` "`...), orDash(e.referer))
	b = appendPlain(append(b, `" "`...), orDash(e.userAgent))
	return append(b, '"', '\n')
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

const hexDigits = "0123456789abcdef"

// appendPlain appends text between quotes: what is not printable ASCII, and what ends or escapes a quote, as \xHH. So no text can end its line or its field.
func appendPlain(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			b = append(b, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}

// appendJSON appends a JSON string. Control characters, those that begin a new line for some readers, and bytes that are no UTF-8 are escaped.
func appendJSON(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			switch {
			case r == utf8.RuneError && size == 1:
				b = append(b, `\ufffd`...)
			case r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0xfeff:
				b = append(b, '\\', 'u', hexDigits[r>>12], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
			default:
				b = append(b, s[i:i+size]...)
			}
			i += size
			continue
		}
		i++
	}
	return append(b, '"')
}

// maxLogged bounds what a client says about itself in a line.
const maxLogged = 512

// logged is a header field as the log shows it.
func logged(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return strings.ToValidUTF8(list[0][:min(len(list[0]), maxLogged)], "\ufffd")
}

// loggedURL does so for a URL, without what session ids may be in: query, fragment, path parameters and a user.
func loggedURL(list []string) string {
	if len(list) == 0 {
		return ""
	}
	u := list[0]
	if i := strings.IndexAny(u, "?#"); i >= 0 {
		u = u[:i]
	}
	scheme, rest, ok := strings.Cut(u, "://")
	if ok && strings.IndexByte(rest, '/') >= 0 && !strings.ContainsAny(rest, ";@") { // as nearly all are: it may stay as it is
		return logged([]string{u})
	}
	if !ok {
		return logged([]string{withoutParams(u)})
	}
	authority, path, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		authority = authority[i+1:]
	}
	authority, _, _ = strings.Cut(authority, ";")
	return logged([]string{scheme + "://" + authority + withoutParams("/"+path)})
}
