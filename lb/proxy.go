package lb

import (
	"net/http"
	"time"
)

// exchange is one request on its way through: what has been found out and decided about it. One goroutine owns it.
type exchange struct {
	inquiry
	w     http.ResponseWriter
	r     *http.Request
	start time.Time
	conn  *clientConn // the client's; nil in some tests

	stray   bool        // whether the group knows the session id that is unknown here could not be found out
	found   *afterwards // what a loop has found out about the request, until goesOn
	after   *afterwards // the same, until its attempt has been taken up
	commit  *commit     // the record that the response waits for
	touched *commit     // the touch that the response waits for
	tried   []*instanceState
	away    []string // hosts of instances that have failed

	counted  *instanceState // the instance that has the request, or had it last
	holding  bool           // it is in the counts of counted and of inModule
	inModule *moduleState
	read     []fieldLines // what decisions have read of the request, see lines
	ending   ending
	opening  bool        // it is in counted.opening as well
	opens    *commit     // a record of this request that others may wait for
	rounds   int         // decisions that were overtaken by a change of what is in force
	lost     bool        // the session began anew because the old one was lost
	body     *clientBody // nil without a request body, and until it is on its way to an instance
	unread   bool        // the response has said that it is the last, because the request's body has not come
	info     informational
	deliver  delivery
	out      flushWriter
	wanted   string // the protocol that the client asks to switch to

	streamsTo string // the cluster of a stream, "" of a request
	received  int64  // bytes of a stream that came from the client

	edge               *edge         // what is to be done because of the listener
	client             clientInfo    // who sent the request
	requestID          string        // "": it has none
	held               hold          // of the bounds of host and context root
	maxBody            int64         // bytes of the request's body; 0: no bound
	userAgent, referer string        // for the log; "" unless it wants them
	forwarded          [3]string     // values of the X-Forwarded fields
	grpc               bool          // a call of gRPC: it is answered as such
	deadline           time.Duration // how long its client waits for it; 0: it has not said

	trace      traceContext
	traceState string // tracestate of a recorded trace that goes on
	traceTold  bool   // the span is out

	head    bool  // a response head has been written
	status  int   // of the response, 0 while none was sent
	sent    int64 // bytes of response body, or of a stream to the client
	retries int   // other instances tried
	problem string
	coding  coding // of the response's body, when Holdfast has compressed it
	astray  bool   // the client is to come again on another connection, and so to another node
}

// ServeHTTP proxies one request. It is the handler of every listener.
func (b *Balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{inquiry: inquiry{b: b}, w: w, r: r, start: time.Now()}
	x.from = x
	x.conn = clientConnOf(r.Context())
	x.takeFound()
	x.arrive()
	x.beginTrace()
	defer x.endTrace() // the last of all: what has become of the request is known
	if !b.tasks.enter() {
		x.write(failureOf(r.Context(), errClosed, nil))
		x.endBody()
		return
	}
	defer b.tasks.leave()
	defer x.done()
	if x.answersChallenge() || x.leadsAway() || x.servesFile() {
		return
	}
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
	if err := x.place(); err != nil {
		return err
	}
	resp, err := x.answer()
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if x.ended() {
		return errEnded
	}
	stream := connectStreamOf(x.r.Context())
	switch switched := resp.StatusCode == http.StatusSwitchingProtocols; {
	case switched && stream != nil:
		return x.upgradeStream(resp, stream)
	case switched:
		return x.upgrade(resp)
	case stream != nil && resp.StatusCode/100 == 2:
		return errBadUpgrade // the client would take it for its tunnel
	}
	return x.respond(resp)
}

// place counts the request and decides about it, unless a loop has done so.
func (x *exchange) place() error {
	if goesOn, err := x.goesOn(); goesOn || err != nil {
		return err
	}
	if x.b.opts.OutOfService() != nil {
		x.astray = true
		return errOutOfService
	}
	if err := x.edge.bounds.pass(x.client.addr, limitClock()); err != nil {
		return err
	}
	site := x.rt.match(x.r.Host, routingPath(x.r.URL))
	if site == nil {
		return errNoModule
	}
	if err := x.bounded(site); err != nil {
		return err
	}
	return x.decide(site)
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
		if tooManyOptions(resp.Header["Connection"]) {
			resp.Body.Close()
			return nil, errOptions
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
	bodyErr := x.body.failure()
	if x.ended() { // whatever broke, broke because of that
		err, bodyErr = errEnded, nil
	}
	x.problem = describe(err)
	if x.head && x.grpc && bodyErr == nil && x.r.Context().Err() == nil {
		x.endCall()
		return
	}
	if x.head {
		if !x.multiplexed() {
			clientConnOf(x.r.Context()).cutOff(x.r.ProtoAtLeast(1, 1) || len(x.w.Header()["Content-Length"]) > 0)
		}
		panic(http.ErrAbortHandler)
	}
	x.abandon()
	if x.r.Context().Err() != nil && bodyErr == nil {
		x.status, x.problem = statusClientGone, "the client is gone"
		panic(http.ErrAbortHandler)
	}
	if x.pastDeadline() {
		err = &responseTimeoutError{x.deadline}
	}
	f := failureOf(x.r.Context(), err, bodyErr)
	if bodyErr != nil {
		x.problem = f.text
	}
	x.status, x.head = f.status, true
	x.sent = x.write(f)
}

// done accounts for the request, also when it was aborted.
func (x *exchange) done() {
	x.info.close()
	x.deliver.wait.close()
	x.endBody()
	x.leavesFound()
	x.leave()
	x.leaveOpening()
	x.noteEnded()
	x.conn.served(x.head && x.status != http.StatusSwitchingProtocols && x.fitsLoop())
	x.held.give()
	if x.rejected {
		x.b.metrics.cookiesRejected.Inc()
	}
	took := time.Since(x.start)
	x.b.metrics.request(x, took)
	x.came()
	x.b.access.log(x, took)
}
