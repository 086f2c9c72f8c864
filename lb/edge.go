package lb

import (
	"context"
	"net/textproto"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/lb/h1"
	"github.com/holdfast-lb/holdfast/lb/wire"
)

// settings are what the configuration says about the requests of all listeners. They are immutable.
type settings struct {
	networks        []string // that are trusted by every listener
	mode            forwardedMode
	readForwarded   bool // trusted proxies set Forwarded, not X-Forwarded-For
	writeX, writeRF bool // instances get X-Forwarded-For, Forwarded
	requestID       requestIDPolicy
	guard           wire.Limits
	maxBody         int64 // bytes; 0: no bound
	connect         time.Duration
	requestBody     time.Duration // these: 0 is no bound
	responseBody    time.Duration
	send            time.Duration
	tunnel          time.Duration
	log             *logFormat
	pages           pages
	files           files
}

// edge is everything that is to be done about a request because of the listener by which it came. It is immutable, and replaced with each change.
type edge struct {
	*settings
	listener string
	trusted  *networks
	bounds   *bounds               // nil: none
	loops    *h1.Limits            // what the loops keep to
	config   *config.Listener      // nil for requests that came by none
	redirect *config.HTTPSRedirect // nil: it serves
	hsts     string                // value of Strict-Transport-Security; "": none
	// streams is the cluster that a tcp listener leads to, "" of one for requests; idle is how long neither side of a stream may send anything; 0: no bound.
	streams string
	idle    time.Duration
	servers map[string]string // clusters by the server name of TLS clients; *.NAME is all below it
	proxied proxyMode         // whether connections begin with a header of the PROXY protocol
	// plain says that a request of this listener needs nothing but the usual X-Forwarded fields, and those of TLS: no proxy is believed, nothing is counted or bounded, no id is
	// given, and it leads nowhere else.
	plain bool
}

// newSettings compiles the group's part. What a configuration that was never written down lacks has its default.
func newSettings(p *config.Proxy) *settings {
	t := &p.Timeouts
	s := &settings{
		networks: p.TrustedProxies, mode: forwardedMode(p.Forwarded.Mode), readForwarded: p.Forwarded.Read == "forwarded",
		writeX: p.Forwarded.Write != "forwarded", writeRF: p.Forwarded.Write == "forwarded" || p.Forwarded.Write == "both",
		requestID: requestIDPolicy{header: textproto.CanonicalMIMEHeaderKey(p.RequestID.Header), all: p.RequestID.Trust == "all", proxies: p.RequestID.Trust != "none", respond: p.RequestID.Respond},
		guard: wire.Limits{
			Head: int(p.Limits.Head), Target: int(p.Limits.Target), Lines: p.Limits.Lines, HeadTimeout: time.Duration(t.Head), First: time.Duration(t.Head), Idle: time.Duration(t.Idle),
		},
		maxBody: int64(p.Limits.Body), connect: time.Duration(t.Connect), requestBody: time.Duration(t.RequestBody), responseBody: time.Duration(t.ResponseBody),
		send: time.Duration(t.Send), tunnel: time.Duration(t.Tunnel), log: newLogFormat(&p.AccessLog), pages: newPages(p.ErrorPages),
	}
	if s.mode == "" {
		s.mode = forwardedSet
	}
	if s.guard.Idle == 0 {
		s.guard.Idle = keepAliveIdle
	}
	if s.guard.First == 0 {
		s.guard.First = headTimeout
	}
	if s.connect == 0 {
		s.connect = connectTimeout
	}
	return s
}

// newEdge compiles the part of a listener. l is nil for requests that came by none.
func newEdge(s *settings, l *config.Listener, b *bounds) *edge {
	e := &edge{settings: s, bounds: b}
	lists := [][]string{s.networks}
	if l != nil {
		e.listener, lists = l.Name, append(lists, l.TrustedProxies)
		e.config, e.redirect, e.hsts = l, l.HTTPSRedirect, hstsLine(l.TLS)
		e.proxied = proxyModes[l.ProxyProtocol]
		if l.Protocol == "tcp" || l.Protocol == "udp" {
			e.streams, e.idle, e.servers = l.Cluster, time.Duration(l.IdleTimeout), serversOf(l)
		}
	}
	for _, list := range lists {
		networks, err := config.ParseNetworks(list)
		if err != nil {
			continue // a later version's, or not validated: nobody is believed for it
		}
		e.trusted = e.trusted.with(networks)
	}
	if l != nil && l.HTTP2 {
		s = s.withHTTP2()
		e.settings = s
	}
	e.plain = e.trusted == nil && e.proxied == proxyOff && e.bounds == nil && s.mode == forwardedSet && s.writeX && !s.writeRF && s.requestID.header == "" &&
		e.redirect == nil && s.maxBody == 0
	e.loops = h1.Limits{Wire: s.guard, Connect: s.connect, Body: orNever(s.requestBody), AnswerBody: orNever(s.responseBody), Write: orNever(s.send)}.Complete()
	return e
}

// orNever gives a bound as the loops have it: what is 0 here would be their default.
func orNever(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// edge gives that of the listener by which the request came.
func (x *exchange) edgeOf() *edge {
	if f := frontOf(x.r.Context()); f != nil {
		if e := f.edge.Load(); e != nil {
			return e
		}
	}
	return x.b.edge.Load()
}

// frontOf gives the front by which a request came, nil for one that came by none.
func frontOf(ctx context.Context) *front {
	if c := clientConnOf(ctx); c != nil && c.socket != nil {
		return c.socket.who.front
	}
	if c := http2ConnOf(ctx); c != nil {
		return c.who.front
	}
	if c := http3ConnOf(ctx); c != nil {
		return c.who.front
	}
	return nil
}
