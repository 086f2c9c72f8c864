package lb

import (
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Tracing says how requests are traced, and who gets the spans.
type Tracing struct {
	// Sample is the share of the traces that begin at this node which are recorded, 0 to 1. Those that come with a request are recorded when they say so.
	Sample float64
	// Trust says whose traces go on here: proxies (the trusted ones), all or none. Every other request begins a new one.
	Trust string
	// Export gets each span of a recorded request once it is over. It must not block, and may keep the span.
	Export func(*Span)
}

// Span is what is known of one request, or of the handshake of a WebSocket. Query, path parameters and cookies are not there: session ids may be in them.
type Span struct {
	Trace      [16]byte
	ID, Parent [8]byte // Parent is zero when the trace began here
	Flags      byte
	State      string // tracestate, "" without
	Start, End time.Time

	Method, Path, Scheme, Host string
	// Version is that of HTTP: 1.0, 1.1 or 2.
	Version   string
	Client    string // address
	Listener  string
	Cluster   string // "": no module took the request
	Module    string // context root
	Instance  string // "": none was chosen
	Assigned  bool   // the session was known
	Retries   int    // other instances that were tried
	Status    int    // of the response; 0: there was none
	Gone      bool   // the client did not wait for it
	Problem   string // what Holdfast says of the failure, "" without
	Sent      int64  // bytes of the response's body
	RPC       bool   // a call of gRPC
	RPCStatus string // grpc-status, "" when none came
}

// beginTrace gives the request its place in a trace; a loop may have done so.
func (x *exchange) beginTrace() {
	t := x.b.trace
	if t == nil {
		return
	}
	if of := x.handed(); of != nil && of.traced.on {
		x.trace, of.traced = of.traced, traceContext{}
	} else if c := clientConnOf(x.r.Context()); c != nil && c.socket != nil && c.socket.who.traced.on {
		x.trace, c.socket.who.traced = c.socket.who.traced, traceContext{}
	} else {
		x.trace = t.begin(x.r.Header["Traceparent"], x.client.trusted)
	}
	if x.trace.sampled() && x.trace.goesOn && fitsTracestate(x.r.Header["Tracestate"]) {
		x.traceState = strings.Join(x.r.Header["Tracestate"], ",")
	}
}

// setTrace tells the instance.
func (x *exchange) setTrace(h http.Header) {
	c := &x.trace
	if !c.on {
		return
	}
	h["Traceparent"] = []string{string(c.appendTo(make([]byte, 0, traceparentLen)))}
	if !c.goesOn || !fitsTracestate(h["Tracestate"]) {
		delete(h, "Tracestate")
	}
}

// endTrace hands the span over, once.
func (x *exchange) endTrace() {
	if !x.trace.sampled() || x.traceTold {
		return
	}
	x.traceTold = true
	s := &Span{
		Trace: x.trace.trace, ID: x.trace.id, Parent: x.trace.parent, Flags: x.trace.flags, State: x.traceState, Start: x.start, End: time.Now(),
		Method: x.r.Method, Path: withoutParams(x.r.URL.EscapedPath()), Scheme: x.client.scheme, Host: x.r.Host, Version: strings.TrimSuffix(strings.TrimPrefix(x.r.Proto, "HTTP/"), ".0"),
		Client: x.client.name, Listener: x.edge.listener, Assigned: x.assigned, Retries: x.retries, Status: x.status, Problem: x.problem, Sent: x.sent, RPC: x.grpc,
	}
	if x.r.ProtoMajor == 1 {
		s.Version = "1." + strconv.Itoa(x.r.ProtoMinor)
	}
	if x.mod != nil {
		s.Cluster, s.Module = x.mod.cluster.name, x.mod.root
	}
	if x.in != nil {
		s.Instance = x.in.name
	}
	if s.Status == statusClientGone {
		s.Status, s.Gone = 0, true
	}
	if x.grpc {
		h := x.w.Header()
		if s.RPCStatus = h.Get("Grpc-Status"); s.RPCStatus == "" {
			s.RPCStatus = h.Get(http.TrailerPrefix + "Grpc-Status")
		}
	}
	x.b.trace.export(s)
}

// Failed reports whether the span is one of a failure of the server: 5xx, or no answer to a client that was still there (a call of gRPC has its own status).
func (s *Span) Failed() bool {
	if s.RPC && s.RPCStatus != "" {
		return slices.Contains([]string{"2", "4", "12", "13", "14", "15"}, s.RPCStatus)
	}
	return s.Status >= 500 || s.Problem != "" && !s.Gone
}

// HostPort splits the host that the client asked for; port is 0 without one.
func (s *Span) HostPort() (host string, port int) {
	if h, p, err := net.SplitHostPort(s.Host); err == nil {
		if n, err := strconv.ParseUint(p, 10, 16); err == nil {
			return h, int(n)
		}
	}
	return strings.Trim(s.Host, "[]"), 0
}
