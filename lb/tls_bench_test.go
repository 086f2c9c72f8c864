package lb

import (
	"crypto/tls"
	"net"
	"testing"
)

// BenchmarkHandshake is a whole connection: both sides of a full handshake, one request, and the end. What is not TLS is what the balancer adds.
func BenchmarkHandshake(b *testing.B) {
	r, ca := secureRig(b, overTLS(bare(inst("i1", newApp(b, "i1", nil).URL)), "site"))
	eachHealthy(r)
	c := clientOf(ca)
	c.MinVersion, c.InsecureSkipVerify, c.CurvePreferences = tls.VersionTLS13, true, []tls.CurveID{tls.X25519}
	request, answer := []byte("GET / HTTP/1.1\r\nHost: site.example\r\n\r\n"), make([]byte, 1<<10)
	b.ReportAllocs()
	for b.Loop() {
		raw, err := net.Dial("tcp", r.addr())
		if err != nil {
			b.Fatal(err)
		}
		conn := tls.Client(raw, c)
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		if _, err := conn.Read(answer); err != nil {
			b.Fatal(err)
		}
		conn.Close()
	}
}
