package config

import "pgregory.net/rapid"

// drawTLS makes a listener one of protocol https, or one that leads there, or leaves it alone.
func drawTLS(r *rapid.T, l *Listener) {
	switch rapid.IntRange(0, 3).Draw(r, "secure") {
	case 0:
		l.HTTPSRedirect = &HTTPSRedirect{Port: rapid.SampledFrom([]int{1, 443, 65535}).Draw(r, "port"), Status: rapid.SampledFrom([]int{301, 302, 307, 308}).Draw(r, "status")}
	case 1, 2:
		l.Protocol, l.Certificates = "https", rapid.SampledFrom([][]string{{"site"}, {"a", "1.2", "no"}}).Draw(r, "certificates")
		t := DefaultTLS()
		l.TLS = &t
		if rapid.Bool().Draw(r, "as by default") {
			return
		}
		t.MinVersion = rapid.SampledFrom([]string{"1.2", "1.3"}).Draw(r, "version")
		t.HandshakeTimeout = drawDuration(r, leastHandshake, mostHandshake)
		t.Handshakes = rapid.IntRange(1, maxHandshakes).Draw(r, "handshakes")
		if t.ClientCertificates.Mode = rapid.SampledFrom([]string{"off", "request", "require"}).Draw(r, "mode"); t.ClientCertificates.Mode != "off" {
			t.ClientCertificates.Authorities = rapid.SampledFrom([][]string{{"ca"}, {"ca", "null"}}).Draw(r, "authorities")
		}
		t.HSTS = rapid.SampledFrom([]HSTS{{}, {MaxAge: second}, {MaxAge: mostHSTS, IncludeSubDomains: true, Preload: true}}).Draw(r, "hsts")
	}
}
