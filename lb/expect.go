package lb

import "net/http"

// A client of HTTP/1.1 may wait for 100 Continue before it sends its body. net/http sends that when somebody begins to read, by itself and from whichever goroutine
// reads, while an interim response of the instance may just be written: so it is said here, by the same lock as those, and net/http finds it said.

// awaitsInvitation reports whether net/http would say it. A request that expects anything else does not come as far as this.
func (x *exchange) awaitsInvitation() bool {
	return x.r.ProtoMajor == 1 && x.r.ProtoAtLeast(1, 1) && x.r.Header.Get("Expect") != "" && clientConnOf(x.r.Context()) != nil
}

// invite tells the client that it may send its body. It is too late for that once the final response has begun: then false.
func (i *informational) invite() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.over {
		i.x.w.WriteHeader(http.StatusContinue)
	}
	return !i.over
}
