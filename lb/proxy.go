package lb

import (
	"net/http"
	"time"
)

// exchange is one request on its way through: what has been found out and decided about it. One goroutine owns it.
type exchange struct {
	b     *Balancer
	w     http.ResponseWriter
	r     *http.Request
	rt    *routing
	keys  *keyring
	start time.Time

	mod      *module
	in       *instance
	assigned bool
	s        session
	stray    bool        // whether the group knows that id could not be found out
	unknown  bool        // the request has a session id that this node does not know
	rejected bool        // a sealed cookie did not open
	commit   *commit     // the record that the response waits for
	touched  *commit     // the touch that the response waits for
	ids      []presented // scratch of learn affinity
	tried    []*instanceState

	counted *instanceState // whose in-flight count holds this request
	body    *clientBody    // nil without a request body
	info    informational
	wanted  string // the protocol that the client asks to switch to

	forwarded [3]string // values of the X-Forwarded fields

	head    bool  // a response head has been written
	status  int   // of the response, 0 while none was sent
	sent    int64 // bytes of response body
	retries int   // other instances tried
	problem string
}

// ServeHTTP proxies one request. It is the handler of every listener.
func (b *Balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{b: b, w: w, r: r, start: time.Now()}
	if !b.tasks.enter() {
		failureOf(r.Context(), errClosed, nil).write(w, r)
		return
	}
	defer b.tasks.leave()
	defer x.done()
	if err := x.serve(); err != nil {
		x.fail(err)
	}
}

// serve is the way of every request: match, decide, forward, settle, respond.
func (x *exchange) serve() error {
	keys, err := x.b.keys()
	if err != nil {
		return err
	}
	x.keys, x.rt = keys, x.b.routing.Load()
	site := x.rt.match(x.r.Host, routingPath(x.r.URL))
	if site == nil {
		return errNoModule
	}
	if err := x.decide(site); err != nil {
		return err
	}
	resp, err := x.forward()
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode < 100 {
		return errBadStatus
	}
	removeHopByHop(resp.Header, resp.StatusCode == http.StatusSwitchingProtocols)
	if err := x.settle(resp.Header); err != nil {
		return err
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return x.upgrade(resp)
	}
	return x.respond(resp)
}

// settle waits for whatever has to be recorded before the response leaves.
func (x *exchange) settle(response http.Header) error {
	if x.touched != nil {
		if _, err := x.touched.wait(x.r.Context()); err != nil {
			return err
		}
	}
	return x.mod.affinity.settle(x, response)
}

// fail answers for Holdfast itself. Once the head is out, or nobody listens any more, only the connection can tell.
func (x *exchange) fail(err error) {
	x.problem = describe(err)
	bodyErr := x.body.failure()
	if x.head {
		panic(http.ErrAbortHandler)
	}
	if x.r.Context().Err() != nil && bodyErr == nil {
		x.status, x.problem = statusClientGone, "the client is gone"
		panic(http.ErrAbortHandler)
	}
	f := failureOf(x.r.Context(), err, bodyErr)
	if bodyErr != nil {
		x.problem = f.text
	}
	x.status, x.head = f.status, true
	x.sent = f.write(x.w, x.r)
}

// done accounts for the request, also when it was aborted.
func (x *exchange) done() {
	x.info.close()
	if x.body != nil && x.status != http.StatusSwitchingProtocols {
		if flusher, ok := x.w.(http.Flusher); ok && x.head {
			flusher.Flush()
		}
		x.body.finish(clientConnOf(x.r.Context()))
	}
	if x.counted != nil {
		x.counted.inFlight.Add(-1)
	}
	if x.rejected {
		x.b.metrics.cookiesRejected.Inc()
	}
	took := time.Since(x.start)
	x.b.metrics.request(x, took)
	x.b.access.log(x, took)
}

// count moves the in-flight mark to the instance that now has the request.
func (x *exchange) count(in *instanceState) {
	if x.counted == in {
		return
	}
	if x.counted != nil {
		x.counted.inFlight.Add(-1)
	}
	x.counted = in
	in.inFlight.Add(1)
}
