package config

import (
	"net/textproto"
	"slices"
	"strings"
	"time"
)

// Bounds of a request's head: what the parser can hold, and what any browser needs.
const (
	minHead, maxHead   = Size(1 << 10), Size(1<<16 - 1)
	minTarget          = Size(64)
	minLines, maxLines = 16, 128
	maxRate            = 1_000_000
	leastTimeout       = Duration(100 * time.Millisecond)
	maxSample          = 1_000_000
)

// AccessLogFields are what a line of the access log may have.
var AccessLogFields = []string{
	"time", "node", "listener", "client", "peer", "method", "host", "path", "proto", "status", "bytes", "received", "ms", "cluster", "instance", "assigned", "lost", "retries", "error",
	"requestId", "traceId", "scheme", "userAgent", "referer", "encoding",
}

func validateProxy(p *problems, at *path, c *Config) {
	x := &c.Proxy
	validateNetworks(p, at.child("trustedProxies"), x.TrustedProxies)
	f := at.child("forwarded")
	p.oneOf(f.child("mode"), x.Forwarded.Mode, []string{"set", "append", "off"}, nil)
	p.oneOf(f.child("read"), x.Forwarded.Read, []string{"x-forwarded", "forwarded"}, nil)
	p.oneOf(f.child("write"), x.Forwarded.Write, []string{"x-forwarded", "forwarded", "both"}, nil)
	validateRequestID(p, at.child("requestId"), c)
	validateHeadLimits(p, at.child("limits"), &x.Limits)
	validateTimeouts(p, at.child("timeouts"), &x.Timeouts)
	validateAccessLog(p, at.child("accessLog"), &x.AccessLog)
	validatePages(p, at.child("errorPages"), x.ErrorPages)
	validateFilesPath(p, at.child("filesPath"), x.FilesPath)
}

// validateRequestID wants a field that means nothing else: what Holdfast sets takes the place of what the client sent.
func validateRequestID(p *problems, at *path, c *Config) {
	r := &c.Proxy.RequestID
	p.oneOf(at.child("trust"), r.Trust, []string{"proxies", "all", "none"}, nil)
	where, name := at.child("header"), textproto.CanonicalMIMEHeaderKey(r.Header)
	switch {
	case name == "":
		if r.Respond {
			p.add(at.child("respond"), "name the field: header: X-Request-Id", "there is no request id that the client could be told")
		}
		return
	case !isToken(name) || len(name) > maxName:
		p.add(where, "write header: X-Request-Id", "%q cannot be the name of a header field", clip(r.Header))
		return
	case !strings.HasPrefix(name, "X-") && !strings.HasSuffix(name, "-Id"), hasMeaning(name):
		p.add(where, "write X-Request-Id, or another name that begins with X- or ends with -Id", "header field %s has another meaning", clip(name))
		return
	}
	for i := range c.Clusters {
		if a := &c.Clusters[i].Affinity; a.Type == "header" && textproto.CanonicalMIMEHeaderKey(a.Name) == name {
			p.add(where, "give one of them another field", "cluster %q knows its sessions by header field %s", clip(c.Clusters[i].Name), clip(name))
		}
	}
}

// hasMeaning reports whether a field that could be one for ids is one that Holdfast sets, strips or goes by itself: what a client gives as its id would take that one's place. _ counts as -,
// because many applications take both for the same.
func hasMeaning(name string) bool {
	name = textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(name, "_", "-"))
	for _, own := range [...]string{"X-Forwarded-", "X-Holdfast-", "Client-Cert-", "X-Client-Cert-"} {
		if strings.HasPrefix(name, own) {
			return true
		}
	}
	return name == "X-Idempotency-Key" || name == "X-Content-Type-Options"
}

func validateHeadLimits(p *problems, at *path, l *HeadLimits) {
	p.sized(at.child("head"), l.Head, minHead, maxHead)
	p.sized(at.child("target"), l.Target, minTarget, min(max(l.Head, minHead), maxHead))
	p.between(at.child("lines"), l.Lines, minLines, maxLines)
	p.sized(at.child("body"), l.Body, 0, maxBody)
}

// maxBody keeps sums of sizes far from overflow.
const maxBody = Size(1 << 50)

func (p *problems) sized(at *path, v, low, high Size) {
	if v < low || v > high {
		p.add(at, "", "%v is out of range, must be from %v to %v", v, low, high)
	}
}

func validateTimeouts(p *problems, at *path, t *Timeouts) {
	p.within(at.child("connect"), t.Connect, leastTimeout, Duration(time.Minute))
	p.within(at.child("head"), t.Head, leastTimeout, hour)
	p.within(at.child("idle"), t.Idle, leastTimeout, hour)
	for _, v := range []struct {
		key string
		d   Duration
	}{{"requestBody", t.RequestBody}, {"responseBody", t.ResponseBody}, {"send", t.Send}, {"tunnel", t.Tunnel}} {
		if v.d != 0 && (v.d < leastTimeout || v.d > 24*hour) {
			p.add(at.child(v.key), "0s means that there is no bound", "%v is out of range, must be 0s or from %v to %v", v.d, leastTimeout, 24*hour)
		}
	}
}

func validateAccessLog(p *problems, at *path, l *AccessLog) {
	p.oneOf(at.child("format"), l.Format, []string{"json", "combined", "off"}, nil)
	p.between(at.child("sample"), l.Sample, 1, maxSample)
	fields := at.child("fields")
	if len(l.Fields) > 0 && l.Format != "json" {
		p.add(fields, "remove it, or write format: json", "the fields of format %s are fixed", clip(l.Format))
		return
	}
	if !p.fits(fields, "fields", len(l.Fields)) {
		return
	}
	for i, name := range l.Fields {
		p.oneOf(fields.item(i), name, AccessLogFields, nil)
		if slices.Contains(l.Fields[:i], name) {
			p.add(fields.item(i), "remove one of them", "%q is there twice", clip(name))
		}
	}
}

func validateListenerLimits(p *problems, at *path, l ListenerLimits) {
	validateRates(p, at, l.All())
	validateRates(p, at.child("perClient"), l.PerClient)
}

func validateModuleLimits(p *problems, at *path, l ModuleLimits) {
	validateRates(p, at, l.All())
	validateRates(p, at.child("perClient"), l.PerClient)
	p.sized(at.child("body"), l.Body, 0, maxBody)
}

func validateRates(p *problems, at *path, r Rates) {
	p.between(at.child("requestsPerSecond"), r.RequestsPerSecond, 0, maxRate)
	p.between(at.child("burst"), r.Burst, 0, maxRate)
	p.between(at.child("connections"), r.Connections, 0, maxRate)
	if r.Burst > 0 && r.RequestsPerSecond == 0 {
		p.add(at.child("burst"), "set requestsPerSecond as well, or remove it", "a burst without a rate bounds nothing")
	}
}
