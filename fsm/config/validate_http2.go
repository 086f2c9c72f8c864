package config

// speaksHTTP reports whether a listener that is being read takes requests: only those of other protocols say so, wherever in it.
func speaksHTTP(n *node) bool {
	kv := firstOf(n.pairs, "protocol")
	return kv == nil || kv.value == nil || kv.value.text != "tcp" && kv.value.text != "udp"
}

func validateHTTP2(p *problems, at *path, l *Listener) {
	if l.HTTP2 && (l.Protocol == "tcp" || l.Protocol == "udp") {
		p.add(at.child("http2"), "remove it", "a listener of protocol %s passes on what comes, whatever it is", l.Protocol)
	}
}
