package lb

import "strings"

// beginTrace gives the request its place in a trace, and reports whether it is recorded: the other engine does that.
func (r *direct) beginTrace() (recorded bool) {
	t := r.b.trace
	if t == nil {
		return false
	}
	var lines []string
	if t.trust == "all" { // on a listener of the loops nobody is a trusted proxy
		lines = r.field("Traceparent")
	}
	r.trace = t.begin(lines, false)
	r.who.traced = r.trace
	return r.trace.sampled()
}

// editTrace tells the instance.
func (r *direct) editTrace() {
	c := &r.trace
	if !c.on {
		return
	}
	state := c.goesOn && fitsTracestate(r.field("Tracestate"))
	for i, f := range r.t.Head.Fields() {
		name := text(f.Name.Of(r.t.Buf))
		if len(name) == len("Traceparent") && strings.EqualFold(name, "Traceparent") || !state && len(name) == len("Tracestate") && strings.EqualFold(name, "Tracestate") {
			r.t.Edit.Drop(i)
		}
	}
	var b [traceparentLen]byte
	r.t.Edit.Add("Traceparent", c.appendTo(b[:0]))
}
