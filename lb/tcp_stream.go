package lb

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/lb/proxyproto"
)

// stream serves one connection of a tcp listener until it ends.
func (b *Balancer) stream(f *front, s *streamSocket) {
	defer s.Close()
	if err := s.introduce(); err != nil {
		f.refuseHeader(s, err)
		return
	}
	x := b.newStream(f, s)
	defer x.doneStream()
	if err := x.askServer(s); err != nil {
		x.problem, x.status = describe(err), http.StatusBadRequest
		return
	}
	made, err := x.toInstance()
	if err != nil {
		x.problem, x.status = describe(err), failureOf(x.r.Context(), err, nil).status
		return
	}
	x.status = http.StatusOK
	conn := made.(*net.TCPConn)
	if err := x.open(s, conn); err != nil {
		conn.Close()
		x.problem, x.status = describe(err), http.StatusBadGateway
		return
	}
	x.join(s, conn)
}

// introduce finds out whose the stream is, and counts it against the bounds of that client.
func (s *streamSocket) introduce() error {
	f := s.who.front
	s.source, s.destination = addrPortOf(s.RemoteAddr()), addrPortOf(s.LocalAddr())
	if !f.edge.Load().expectsHeader() {
		return nil
	}
	in, err := f.introduce(s.TCPConn, nil)
	if err != nil {
		return err
	}
	s.before, s.suspect = in.rest, in.suspect
	if in.source.IsValid() {
		s.source, s.destination = in.source, in.destination
		return f.b.conns.holdAs(s.who, s.source.Addr())
	}
	return nil
}

// open tells the instance who the client is, where that is wanted, and passes on what has been read of the stream already. What may be a header of a client who may send none
// is left for join.
func (x *exchange) open(s *streamSocket, instance *net.TCPConn) error {
	var first []byte
	if v := x.mod.cluster.sendProxy; v > 0 {
		h := proxyproto.Header{Version: v, Source: s.source, Destination: s.destination}
		first = h.Append(nil)
	}
	if !s.suspect {
		first = append(first, s.before...)
		s.before = nil
	}
	if len(first) == 0 {
		return nil
	}
	_, err := instance.Write(first)
	return err
}

// newStream makes the exchange of a stream.
func (b *Balancer) newStream(f *front, s *streamSocket) *exchange {
	x := &exchange{inquiry: inquiry{b: b}, r: opening(f.requests, "TCP"), start: time.Now()}
	x.from = x
	x.edge = f.edge.Load()
	x.streamsTo = x.edge.streams
	x.client = x.edge.identify(s.source.String(), false, "", nil)
	return x
}

// opening is what the decisions see of a stream: a request without anything in it. It may be sent again to any instance, because nothing that the client
// has sent goes to one before it is certain which that is.
func opening(ctx context.Context, protocol string) *http.Request {
	return (&http.Request{Method: http.MethodGet, Proto: protocol, URL: &url.URL{Path: "/"}, Header: http.Header{}}).WithContext(ctx)
}

// toInstance decides whose the stream is, records that, and connects.
func (x *exchange) toInstance() (net.Conn, error) {
	if x.b.opts.OutOfService() != nil {
		return nil, errOutOfService
	}
	keys, err := x.b.keys()
	if err != nil {
		return nil, err
	}
	x.keys, x.rt = keys, x.b.routing.Load()
	if err := x.edge.bounds.pass(x.client.addr, limitClock()); err != nil {
		return nil, err
	}
	site := x.site()
	if site == nil {
		return nil, errUnavailable
	}
	if err := x.decide(site); err != nil {
		return nil, err
	}
	for range maxMoves {
		conn, err := x.connect()
		if err != nil {
			return nil, err
		}
		if err = x.settle(nil); err == nil {
			return conn, nil
		}
		conn.Close() // another node was faster to record where the client belongs
		if err != errSendAgain {
			return nil, err
		}
	}
	return nil, errFull
}

// connect opens a connection to the chosen instance, or to another one when that takes none.
func (x *exchange) connect() (net.Conn, error) {
	d := &x.deliver
	d.begin(0)
	for {
		chosen := x.in.state
		if err := x.admit(x.r.Header); err != nil {
			return nil, err
		}
		if x.in.state != chosen { // what was decided no longer stood
			d.listeners, d.same = d.listeners[:0], false
		}
		conn, why, err := x.dial()
		if why == whyNone {
			return conn, err
		}
		if !x.mayGoOn(why) {
			return nil, err
		}
		switch next, moveErr := x.nextTry(why); {
		case moveErr != nil:
			return nil, moveErr
		case next == stay:
			return nil, errUnavailable
		}
		x.b.metrics.requestRetries.WithLabelValues(x.mod.cluster.name, string(why)).Inc()
	}
}

// dial makes one attempt, and tells the listener's health how it went.
func (x *exchange) dial() (net.Conn, failureKind, error) {
	e := x.listener()
	if e == nil {
		return nil, whyConnect, errUnavailable
	}
	x.deliver.tried(e)
	sent := time.Now()
	conn, err := e.dial(x.r.Context(), strings.ToLower(x.r.Proto), "")
	switch {
	case err == nil:
		x.in.state.latency.observe(time.Since(sent)) // all that can be known: when an answer ends is the protocol's business
		return conn, whyNone, nil
	case x.r.Context().Err() != nil:
		return nil, whyNone, errClosed
	}
	return nil, x.noteFailure(e, sent, err), err
}

// doneStream accounts for the stream.
func (x *exchange) doneStream() {
	x.leave()
	x.leaveOpening()
	x.noteEnded()
	took := time.Since(x.start)
	x.b.metrics.stream(x, took)
	x.b.access.log(x, took)
}
