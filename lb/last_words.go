package lb

import "net/http"

// Whoever answers before the whole body of a request has come does not wait for it: the client, who may be waiting for the answer before it sends anything, or
// sends no more, gets the answer at once, and is told that it is the last one on its connection (RFC 9112, sections 9.3 and 9.6). The loops do the same.

// sayLast marks an answer as the last one of its connection where it has to be.
func (x *exchange) sayLast(h http.Header) {
	clientConnOf(x.r.Context()).sayClose(h)
	x.sayUnread(h)
}

// sayUnread does so where the client may still be sending: an instance, too, may answer before it has seen the whole body.
func (x *exchange) sayUnread(h http.Header) {
	if !x.bodyHasCome() {
		x.unread = true
		h["Connection"] = []string{"close"} // it also keeps net/http from reading the body first
	}
}

// bodyHasCome reports whether the whole body of the request is here. In HTTP/2 and HTTP/3 it is in nobody's way.
func (x *exchange) bodyHasCome() bool {
	if x.r.ContentLength == 0 || x.multiplexed() {
		return true
	}
	c := clientConnOf(x.r.Context())
	if c == nil || c.guard == nil {
		return true
	}
	if x.body != nil {
		return x.body.hasCome(x.r.ContentLength, c.guard.BodyHasCome)
	}
	return c.guard.BodyHasCome()
}
