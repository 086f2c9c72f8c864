package lb

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

const hstsField = "Strict-Transport-Security"

// hstsLine is the value of Strict-Transport-Security, "" for none.
func hstsLine(t *config.TLS) string {
	if t == nil || t.HSTS.MaxAge == 0 {
		return ""
	}
	line := "max-age=" + strconv.FormatInt(int64(time.Duration(t.HSTS.MaxAge)/time.Second), 10)
	if t.HSTS.IncludeSubDomains {
		line += "; includeSubDomains"
	}
	if t.HSTS.Preload {
		line += "; preload"
	}
	return line
}

// tellHSTS has browsers stay with https. What the instance says itself counts more; over clear text it means nothing (RFC 6797 section 7.2).
func (x *exchange) tellHSTS(h http.Header) {
	if x.edge.hsts == "" || !x.overTLS() {
		return
	}
	if _, own := h[hstsField]; !own {
		h[hstsField] = []string{x.edge.hsts}
	}
}

// leadsAway answers a request of a listener that leads to https; false when the request is to be served. A client that has come to a trusted proxy by https
// is there already. Redirects count for the listener's bounds as all requests do.
func (x *exchange) leadsAway() bool {
	r := x.edge.redirect
	if r == nil || x.scheme() == "https" {
		return false
	}
	if err := x.edge.bounds.pass(x.client.addr, limitClock()); err != nil {
		x.fail(err)
		return true
	}
	host := x.client.host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
		if strings.Contains(name, ":") {
			host = "[" + name + "]"
		}
	}
	if host == "" { // a client of HTTP/1.0 that names no host cannot be led anywhere
		x.status, x.head = http.StatusBadRequest, true
		x.sent = x.write(failure{status: x.status, text: "This address is served by https."})
		return true
	}
	if r.Port != 443 {
		host += ":" + strconv.Itoa(r.Port)
	}
	target := x.r.URL.RequestURI()
	if !strings.HasPrefix(target, "/") {
		target = "/"
	}
	h := x.w.Header()
	h["Location"], h["Cache-Control"], h["Content-Length"] = []string{"https://" + host + target}, []string{"no-store"}, []string{"0"}
	h["Content-Type"] = nil
	x.sayLast(h)
	x.tellRequestID(h)
	x.status, x.head = r.Status, true
	x.w.WriteHeader(r.Status)
	return true
}
