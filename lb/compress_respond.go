package lb

import (
	"net/http"
	"strings"
)

// compressed gives the coding that the response gets, and puts into its head, h, what that makes of it. It gives nil where the response stays as it is. Who gets one
// ends it. For HEAD the head is that of GET, and nothing is to be written.
func (x *exchange) compressed(resp *http.Response, h http.Header) *encoder {
	if x.mod == nil || x.mod.compression == nil || x.grpc || !x.r.ProtoAtLeast(1, 1) || x.r.Method == http.MethodConnect {
		return nil
	}
	s := x.mod.compression
	if resp.StatusCode == http.StatusNotModified {
		weakenConfirmed(x.r.Header["If-None-Match"], h)
		return nil
	}
	length := resp.ContentLength
	if x.r.Method == http.MethodHead && len(h["Content-Length"]) == 0 {
		length = -1
	}
	if !s.possible(resp.StatusCode, h, length) || headerHasToken(x.r.Header["Cache-Control"], "no-transform") || speaksOfBytes(resp.Trailer) {
		return nil
	}
	addVary(h, "Accept-Encoding") // also where the client takes none: a cache must know (RFC 9110 section 12.5.5)
	c := acceptEncoding(x.r.Header["Accept-Encoding"]).choose(s.offered)
	if c == codingNone {
		return nil
	}
	e := x.b.encoders.take(c, s.level)
	if e == nil {
		x.b.metrics.compression.busy.Inc()
		return nil
	}
	h["Content-Encoding"] = []string{codingNames[c]}
	delete(h, "Content-Length")
	if _, there := h["Accept-Ranges"]; there {
		h["Accept-Ranges"] = []string{"none"}
	}
	weaken(h)
	x.coding = c
	return e
}

// weaken makes a strong entity tag weak: the bytes are not those that the instance has vouched for (RFC 9110 section 8.8.1).
func weaken(h http.Header) {
	if list := h["Etag"]; len(list) == 1 && isStrong(list[0]) {
		h["Etag"] = []string{"W/" + list[0]}
	}
}

func isStrong(tag string) bool { return len(tag) >= 2 && tag[0] == '"' && tag[len(tag)-1] == '"' }

// weakenConfirmed does so in the answer to a client that has what it asks about in its weak form only: the tag of 304 names what the client has
// (RFC 9111 section 4.3.4).
func weakenConfirmed(asked []string, h http.Header) {
	tags := h["Etag"]
	if len(tags) != 1 || !isStrong(tags[0]) {
		return
	}
	weak, strong := false, false
	for _, line := range asked {
		for tag := range strings.SplitSeq(line, ",") {
			tag = strings.Trim(tag, " \t")
			weak, strong = weak || tag == "W/"+tags[0], strong || tag == tags[0]
		}
	}
	if weak && !strong {
		weaken(h)
		addVary(h, "Accept-Encoding")
	}
}

// addVary names a field of requests by which the response was chosen.
func addVary(h http.Header, name string) {
	lines := h["Vary"]
	if headerHasToken(lines, name) || headerHasToken(lines, "*") {
		return
	}
	if len(lines) == 0 {
		h["Vary"] = []string{name}
		return
	}
	h["Vary"] = []string{strings.Join(lines, ", ") + ", " + name}
}
