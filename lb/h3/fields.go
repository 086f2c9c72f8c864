package h3

import (
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"

	"github.com/quic-go/qpack"
	"golang.org/x/net/http/httpguts"
)

// section is a list of fields as it came.
type section struct {
	pseudo map[string]string
	fields http.Header
}

// mostNamed is how many fields a section may have beyond lines, so that it is the handler that says what is one too many.
const mostNamed = 16

// decodeSection unpacks a block; most bounds names and values together, in bytes, and lines the fields.
func decodeSection(block []byte, most, lines int) (*section, error) {
	s := &section{pseudo: map[string]string{}, fields: http.Header{}}
	next := qpack.NewDecoder().Decode(block)
	for size, n := 0, 0; ; n++ {
		f, err := next()
		if err == io.EOF {
			return s, nil
		}
		if err != nil {
			return nil, &connError{codeDecompression, "QPACK"}
		}
		if size += len(f.Name) + len(f.Value); size > most {
			return nil, errHeadLong
		}
		if n >= lines+mostNamed {
			return nil, errFieldsMany
		}
		if err := s.add(f.Name, f.Value); err != nil {
			return nil, err
		}
	}
}

// add takes a field in, if it can be one.
func (s *section) add(name, value string) error {
	if strings.ToLower(name) != name {
		return malformed("field name in upper case")
	}
	if !httpguts.ValidHeaderFieldValue(value) {
		return malformed("field value")
	}
	if pseudo, ok := strings.CutPrefix(name, ":"); ok {
		_, twice := s.pseudo[pseudo]
		switch {
		case len(s.fields) > 0:
			return malformed("pseudo-header field after a field")
		case twice:
			return malformed("pseudo-header field twice")
		case pseudo != "method" && pseudo != "scheme" && pseudo != "authority" && pseudo != "path" && pseudo != "protocol":
			return malformed("unknown pseudo-header field")
		}
		s.pseudo[pseudo] = value
		return nil
	}
	if !httpguts.ValidHeaderFieldName(name) {
		return malformed("field name")
	}
	switch name {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		return malformed("field of a connection")
	case "te":
		if value != "trailers" {
			return malformed("field of a connection")
		}
	}
	key := textproto.CanonicalMIMEHeaderKey(name)
	s.fields[key] = append(s.fields[key], value)
	return nil
}

// request makes a request of the head of one; it has no body yet. Protocol is what an extended CONNECT asks for, "" for all others.
func (s *section) request() (r *http.Request, protocol string, err error) {
	method, path := s.pseudo["method"], s.pseudo["path"]
	protocol, extended := s.pseudo["protocol"]
	_, hasPath := s.pseudo["path"]
	scheme, hasScheme := s.pseudo["scheme"]
	authority, hasAuthority := s.pseudo["authority"]
	if !httpguts.ValidHeaderFieldName(method) {
		return nil, "", malformed("method")
	}
	switch {
	case extended && (method != http.MethodConnect || protocol == "" || !hasPath || !hasScheme || !hasAuthority):
		return nil, "", malformed("extended CONNECT")
	case method == http.MethodConnect && !extended && (hasPath || hasScheme || authority == ""):
		return nil, "", malformed("CONNECT")
	case (method != http.MethodConnect || extended) && (path == "" || scheme == ""):
		return nil, "", malformed("pseudo-header field missing")
	}
	if authority, err = s.host(authority, hasAuthority); err != nil {
		return nil, "", err
	}
	r = &http.Request{Method: method, Proto: "HTTP/3.0", ProtoMajor: 3, Header: s.fields, Host: authority, RequestURI: path, ContentLength: -1}
	if method == http.MethodConnect && !extended {
		r.URL, r.RequestURI = &url.URL{Host: authority}, authority
	} else if r.URL, err = url.ParseRequestURI(path); err != nil {
		return nil, "", malformed("path")
	}
	s.joinCookies()
	s.announce(r)
	if lengths := s.fields["Content-Length"]; len(lengths) == 1 {
		if n, bad := strconv.ParseUint(lengths[0], 10, 63); bad == nil {
			r.ContentLength = int64(n)
		}
	}
	return r, protocol, nil
}

// host is the authority, which Host may say too, or alone, in the same way.
func (s *section) host(authority string, has bool) (string, error) {
	hosts := s.fields["Host"]
	switch {
	case len(hosts) > 1 || len(hosts) == 1 && has && hosts[0] != authority:
		return "", malformed("host and authority differ")
	case len(hosts) == 1:
		authority = hosts[0]
	}
	if authority == "" || strings.Contains(authority, "@") {
		return "", malformed("authority")
	}
	delete(s.fields, "Host")
	return authority, nil
}

// joinCookies makes one field of those that a client has split so that they compress better (RFC 9114, section 4.2.1).
func (s *section) joinCookies() {
	if c := s.fields["Cookie"]; len(c) > 1 {
		s.fields["Cookie"] = []string{strings.Join(c, "; ")}
	}
}

// announce notes the trailers that are to come, as net/http does. What must not be one is there too, for the handler to refuse.
func (s *section) announce(r *http.Request) {
	for _, list := range s.fields["Trailer"] {
		for name := range strings.SplitSeq(list, ",") {
			if r.Trailer == nil {
				r.Trailer = http.Header{}
			}
			r.Trailer[textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name))] = nil
		}
	}
	delete(s.fields, "Trailer")
}
