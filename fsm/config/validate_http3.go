package config

// validateHTTP3 looks whether HTTP/3 can be served: QUIC has TLS in it, and no place for what a proxy would say in front of a connection.
func validateHTTP3(p *problems, at *path, l *Listener) {
	if !l.HTTP3 {
		return
	}
	at = at.child("http3")
	if l.Protocol != "https" {
		p.add(at, "give the listener protocol https and certificates, or remove http3", "HTTP/3 is always encrypted, and a listener of protocol %s is not", clip(l.Protocol))
	}
	if l.ProxyProtocol != "" && l.ProxyProtocol != "off" {
		p.add(at, "remove http3, or proxyProtocol", "clients of HTTP/3 cannot be introduced by the PROXY protocol, which this listener asks for")
	}
}
