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
	away     []string // hosts of instances that have failed

	counted  *instanceState // the instance that has the request, or had it last
	holding  bool           // it is in the counts of counted and of inModule
	inModule *moduleState
	opening  bool        // it is in counted.opening as well
	opens    *commit     // a record of this request that others may wait for
	rounds   int         // decisions that were overtaken by a change of what is in force
	lost     bool        // the session began anew because the old one was lost
	body     *clientBody // nil without a request body
	info     informational
	deliver  delivery
	out      flushWriter
	wanted   string // the protocol that the client asks to switch to

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
	resp, err := x.answer()
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return x.upgrade(resp)
	}
	return x.respond(resp)
}

// answer gets a response that may leave. One that may not, because the session turned out to belong to another instance, is dropped for that of the
// other instance.
func (x *exchange) answer() (*http.Response, error) {
	for range maxMoves {
		resp, err := x.forward()
		if err != nil {
			return nil, err
		}
		if resp.StatusCode < 100 {
			resp.Body.Close()
			return nil, errBadStatus
		}
		removeHopByHop(resp.Header, resp.StatusCode == http.StatusSwitchingProtocols)
		if err = x.settle(resp.Header); err == nil {
			x.tellClient(resp.Header)
			return resp, nil
		}
		resp.Body.Close()
		if err != errSendAgain {
			return nil, err
		}
	}
	return nil, errFull
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
	x.info.close() // an instance that was too late may just be sending an interim response
	x.problem = describe(err)
	bodyErr := x.body.failure()
	if x.head {
		panic(http.ErrAbortHandler)
	}
	if x.r.Context().Err() != nil && bodyErr == nil {
		x.status, x.problem = statusClientGone, "the client is gone"
		panic(http.ErrAbortHandler)
	}
	x.abandon()
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
	x.deliver.wait.close()
	if x.body != nil && x.status != http.StatusSwitchingProtocols {
		if flusher, ok := x.w.(http.Flusher); ok && x.head {
			flusher.Flush()
		}
		x.body.finish(clientConnOf(x.r.Context()))
	}
	x.leave()
	x.leaveOpening()
	if x.rejected {
		x.b.metrics.cookiesRejected.Inc()
	}
	took := time.Since(x.start)
	x.b.metrics.request(x, took)
	x.b.access.log(x, took)
}
