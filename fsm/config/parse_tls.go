package config

// tls reads the settings of a listener of protocol https; nothing at all gives the defaults later.
func (d decoder) tls(dst **TLS) func(n *node, at *path) {
	return func(n *node, at *path) {
		if n.kind == kindNull {
			return
		}
		t := DefaultTLS()
		d.object(n, at, []field{
			{"minVersion", d.version(&t.MinVersion)},
			{"handshakeTimeout", d.duration(&t.HandshakeTimeout)},
			{"handshakes", d.integer(&t.Handshakes)},
			{"clientCertificates", d.clientCertificates(&t.ClientCertificates)},
			{"hsts", d.hsts(&t.HSTS)},
		})
		*dst = &t
	}
}

// version reads 1.2 also when it is written as a number.
func (d decoder) version(dst *string) func(n *node, at *path) {
	return func(n *node, at *path) {
		if n.kind == kindNumber && len(n.text) <= 3 {
			*dst = n.text
			return
		}
		d.text(dst)(n, at)
	}
}

func (d decoder) clientCertificates(c *ClientCertificates) func(n *node, at *path) {
	return func(n *node, at *path) {
		d.object(n, at, []field{{"mode", d.text(&c.Mode)}, {"authorities", d.texts(&c.Authorities)}})
	}
}

func (d decoder) hsts(h *HSTS) func(n *node, at *path) {
	return func(n *node, at *path) {
		d.object(n, at, []field{
			{"maxAge", d.duration(&h.MaxAge)},
			{"includeSubDomains", d.boolean(&h.IncludeSubDomains)},
			{"preload", d.boolean(&h.Preload)},
		})
	}
}

func (d decoder) httpsRedirect(dst **HTTPSRedirect) func(n *node, at *path) {
	return func(n *node, at *path) {
		if n.kind == kindNull {
			return
		}
		r := HTTPSRedirect{Port: defaultHTTPSPort, Status: defaultRedirect}
		d.object(n, at, []field{{"port", d.integer(&r.Port)}, {"status", d.integer(&r.Status)}})
		*dst = &r
	}
}

// instanceTLS gives nil for what says nothing, so that there is one way to say it.
func (d decoder) instanceTLS(dst **InstanceTLS) func(n *node, at *path) {
	return func(n *node, at *path) {
		if n.kind == kindNull {
			return
		}
		var t InstanceTLS
		d.object(n, at, []field{{"authorities", d.texts(&t.Authorities)}, {"serverName", d.text(&t.ServerName)}})
		if len(t.Authorities) > 0 || t.ServerName != "" {
			*dst = &t
		}
	}
}
