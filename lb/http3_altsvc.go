package lb

// altSvcField tells clients where else the same is served (RFC 7838).
const altSvcField = "Alt-Svc"

// tellAltSvc tells a client of HTTP/1.1 or HTTP/2 that the listener speaks HTTP/3, while it does. It takes the place of what the instance says, which does not know by which
// ports clients come. A client of HTTP/3 is where it should be, and hears nothing.
func (x *exchange) tellAltSvc(h map[string][]string) {
	x.dropAltSvc(h)
	if f := frontOf(x.r.Context()); f != nil {
		if told := f.altSvc.Load(); told != nil {
			h[altSvcField] = []string{*told}
		}
	}
}

// dropAltSvc takes out what the instance says, where Holdfast speaks HTTP/3.
func (x *exchange) dropAltSvc(h map[string][]string) {
	if f := frontOf(x.r.Context()); http3ConnOf(x.r.Context()) != nil || f != nil && f.altSvc.Load() != nil {
		delete(h, altSvcField)
	}
}

// tellAltSvc does what exchange.tellAltSvc does.
func (r *direct) tellAltSvc() {
	if told := r.who.front.altSvc.Load(); told != nil {
		r.t.Reply.AddString(altSvcField, *told)
	}
}
