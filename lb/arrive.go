package lb

import (
	"net/http"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// arrive notes what is known of a request before anything is decided: the settings of its listener, who sent it, its id.
func (x *exchange) arrive() {
	x.edge = x.edgeOf()
	x.client = x.edge.identify(x.r.RemoteAddr, x.overTLS(), x.r.Host, x.r.Header)
	x.grpc, x.deadline = callOf(x.r)
	x.requestID = x.edge.requestID.requestID(x.r.Header, x.client.trusted, x.start)
	if x.edge.log.agents && x.b.access.out != nil { // now: the fields go away with the request
		x.userAgent, x.referer = logged(x.r.Header["User-Agent"]), loggedURL(x.r.Header["Referer"])
	}
}

// bounded counts the request against the bounds of its host and context root. It comes before anything is decided, so that a flood makes no sessions.
func (x *exchange) bounded(s *site) error {
	x.maxBody = x.edge.maxBody
	if l := s.bounds; l != nil {
		if l.body > 0 {
			x.maxBody = l.body
		}
		if err := l.pass(x.client.addr, limitClock()); err != nil {
			return err
		}
		held, err := l.hold(x.client.addr, false)
		if err != nil {
			return err
		}
		x.held = held
	}
	if x.maxBody > 0 && x.r.ContentLength > x.maxBody {
		return errBodyTooLarge
	}
	return nil
}

// boundSites gives each host and context root its bounds. It comes when all modules are there.
func (b *builder) boundSites() {
	for _, list := range b.rt.sites() {
		for _, s := range list {
			s.bounds = b.newBounds(siteLimiter(s.host, s.root), s.limits.All(), s.limits.PerClient, int64(s.limits.Body))
		}
	}
}

func siteLimiter(host, root string) string { return "module\x00" + host + root }

func listenerLimiter(name string) string { return "listener\x00" + name }

// sites gives all of them, in no order.
func (rt *routing) sites() [][]*site {
	all := [][]*site{rt.anyHost}
	for _, list := range rt.exact {
		all = append(all, list)
	}
	return all
}

// forgetLimiters drops the counts of listeners and modules that are bounded no more.
func (b *Balancer) forgetLimiters(rt *routing, listeners []config.Listener) {
	var kept []string
	for i := range listeners {
		kept = append(kept, listenerLimiter(listeners[i].Name))
	}
	for _, list := range rt.sites() {
		for _, s := range list {
			if s.bounds != nil {
				kept = append(kept, siteLimiter(s.host, s.root))
			}
		}
	}
	for name, l := range b.limiters {
		if !slices.Contains(kept, name) && l.held.Load() == 0 {
			delete(b.limiters, name)
		}
	}
}

// setRequestID puts the id of the request into what the instance gets.
func (x *exchange) setRequestID(h http.Header) {
	if x.requestID != "" {
		h[x.edge.requestID.header] = []string{x.requestID}
	}
}

// tellRequestID tells the client.
func (x *exchange) tellRequestID(h http.Header) {
	if x.requestID != "" && x.edge.requestID.respond {
		h[x.edge.requestID.header] = []string{x.requestID}
	}
}

// endSend ends a write to the client that is under way, and the connection or the stream with it.
func (x *exchange) endSend() {
	if x.multiplexed() {
		http.NewResponseController(x.w).SetWriteDeadline(longAgo) // an error means that the stream has ended
	} else if c := clientConnOf(x.r.Context()); c != nil {
		c.SetWriteDeadline(longAgo) // an error means that it is closed already
	}
}

// boundSend sets the deadline by which the client must have taken what is written next. net/http keeps it for later responses, so that it is taken away where
// it no longer holds.
func (x *exchange) boundSend() {
	if x.multiplexed() {
		x.boundStream()
		return
	}
	c := clientConnOf(x.r.Context())
	if c == nil || x.edge.send == 0 && !c.bounded.Load() {
		return
	}
	var by time.Time
	if x.edge.send > 0 {
		by = time.Now().Add(x.edge.send)
	}
	c.bounded.Store(x.edge.send > 0)
	c.SetWriteDeadline(by) // an error means that it is closed already
}
