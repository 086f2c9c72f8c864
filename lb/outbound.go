package lb

import (
	"errors"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// outbound makes the request for the instance out of the client's. The header map is the client's own: who decides anew reads what is remembered of it (see lines). Scheme
// and host of the URL are filled in when an instance is chosen.
func (x *exchange) outbound() *http.Request {
	r := x.r
	x.remember()
	x.info.x = x
	d := &x.deliver
	x.hooks()
	out := r.WithContext(httptrace.WithClientTrace(d.wait.begin(r.Context()), &d.trace))
	out.URL = outboundURL(r)
	out.RequestURI, out.Close, out.TransferEncoding = "", false, nil
	out.Body, out.GetBody = nil, nil
	if r.ContentLength != 0 && r.Body != nil {
		if d, ok := x.w.(interface{ EnableFullDuplex() error }); ok {
			d.EnableFullDuplex() // an instance may answer before it has read everything
		}
		x.body = newClientBody(r.Body, x.keeps(), &d.wait)
		x.body.kept.of = x.b.keeping
		x.body.most, x.body.patience, x.body.conn = x.maxBody, x.edge.requestBody, x.bodyEnder()
		if x.awaitsInvitation() {
			x.body.invite = x.info.invite
		}
		out.Body, out.GetBody = x.bodyFor(&x.body.first), x.bodyAgain
	}
	upgrade := x.upgradeWanted()
	x.wanted = upgrade
	trailers := headerHasToken(r.Header["Te"], "trailers")
	removeHopByHop(out.Header, false)
	if upgrade != "" {
		out.Header["Connection"], out.Header["Upgrade"] = []string{"Upgrade"}, []string{upgrade}
	}
	if trailers {
		out.Header["Te"] = []string{"trailers"}
	}
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header["User-Agent"] = nil // keeps http.Transport from naming itself
	}
	x.setRequestID(out.Header) // first: its field is the configuration's, and must not stand for those below
	x.dropOwn(out.Header)
	x.setForwarded(out.Header)
	x.setIdentity(out.Header)
	x.setTrace(out.Header)
	return out
}

// outboundURL keeps the target's path byte for byte as the client wrote it; encoding it anew could change what it means.
func outboundURL(r *http.Request) *url.URL {
	u := &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery, ForceQuery: r.URL.ForceQuery}
	if target := r.RequestURI; strings.HasPrefix(target, "/") && !strings.HasPrefix(target, "//") {
		u.Opaque, _, _ = strings.Cut(target, "?")
	}
	return u
}

// scheme is how the client reached Holdfast, or the first of the proxies that are believed.
func (x *exchange) scheme() string { return x.client.scheme }

// hopByHop are the fields that concern one connection only (RFC 9110, 7.6.1; Keep-Alive and Proxy-Connection are older).
var hopByHop = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// removeHopByHop removes them with those that Connection names; a switch of protocols keeps Connection and Upgrade.
func removeHopByHop(h http.Header, switching bool) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			name = textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name))
			if name != "" && !(switching && name == "Upgrade") && !endToEnd(name) {
				delete(h, name)
			}
		}
	}
	for _, name := range hopByHop {
		if switching && (name == "Connection" || name == "Upgrade") {
			continue
		}
		delete(h, name)
	}
}

// tooManyOptions reports whether a Connection has more options than wire.MaxOptions.
func tooManyOptions(lines []string) bool {
	n := len(lines)
	for _, line := range lines {
		n += strings.Count(line, ",")
	}
	return n > wire.MaxOptions
}

// endToEnd are fields that Connection must not make disappear, or a client could hide from the instance what it relies on.
func endToEnd(name string) bool {
	return slices.Contains([]string{"Host", "Content-Length", "Content-Type", "Cookie", "Set-Cookie", "Authorization", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"}, name)
}

// headerHasToken reports whether one of the comma-separated lists has the token, in any case.
func headerHasToken(lines []string, token string) bool {
	for _, line := range lines {
		for t := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(textproto.TrimString(t), token) {
				return true
			}
		}
	}
	return false
}

// upgradeOf gives the protocol that the client wants to switch to, "" for none.
func upgradeOf(r *http.Request) string {
	h := r.Header
	if !r.ProtoAtLeast(1, 1) { // RFC 9110 7.8: ignored in HTTP/1.0
		return ""
	}
	if !headerHasToken(h["Connection"], "Upgrade") {
		return ""
	}
	if headerHasToken(h["Upgrade"], "h2c") {
		return "" // another protocol for requests: what followed could not be checked
	}
	return h.Get("Upgrade")
}

// informational passes interim responses (1xx) on to the client. http.Transport calls it from a goroutine of its own, possibly
// after the exchange has ended.
type informational struct {
	mu    sync.Mutex
	x     *exchange
	shown disguise // of the present attempt
	seen  int
	over  bool
}

// expect notes whose interim responses come from now on: they may do so while the exchange decides about another attempt.
func (i *informational) expect(d disguise) {
	i.mu.Lock()
	i.shown = d
	i.mu.Unlock()
}

// maxInformational bounds the interim responses to one request: each is passed on, so the client must be spared a flood.
const maxInformational = 100

var errTooManyInterim = errors.New("the instance sends interim responses without end")

func (i *informational) got(code int, header textproto.MIMEHeader) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.seen++; i.seen > maxInformational {
		return errTooManyInterim
	}
	if i.over || code == http.StatusContinue || code == http.StatusSwitchingProtocols {
		return nil // net/http answers 100-continue itself, when the instance begins to read the body
	}
	if !i.x.r.ProtoAtLeast(1, 1) { // RFC 9110, 15.2: a client of HTTP/1.0 does not know them
		return nil
	}
	removeHopByHop(http.Header(header), false)
	delete(header, "Content-Length") // it has none (RFC 9110, 8.6)
	i.x.dropAltSvc(header)
	if i.shown.cluster != nil {
		i.shown.hide(http.Header(header))
	}
	h := i.x.w.Header()
	for name, values := range header {
		if name != lostHeader {
			h[name] = values
		}
	}
	i.x.w.WriteHeader(code)
	clear(h)
	return nil
}

// close is called before the final response is written, whoever's it is.
func (i *informational) close() {
	i.mu.Lock()
	i.over = true
	i.mu.Unlock()
}
