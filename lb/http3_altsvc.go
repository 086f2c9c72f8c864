package lb

// altSvcField tells clients where else the same is served (RFC 7838).
const altSvcField = "Alt-Svc"

// tellAltSvc tells a client of HTTP/1.1 or HTTP/2 that the listener speaks HTTP/3, while it does. It takes the place of what the instance says, which does not know by which
// ports clients come.
func (x *exchange) tellAltSvc(h map[string][]string) {
	if f := frontOf(x.r.Context()); f != nil {
		if told := f.altSvc.Load(); told != nil {
			h[altSvcField] = []string{*told}
		}
	}
}

// tellAltSvc does what exchange.tellAltSvc does.
func (r *direct) tellAltSvc() {
	if told := r.who.front.altSvc.Load(); told != nil {
		r.t.Reply.AddString(altSvcField, *told)
	}
}
