package lb

import (
	"crypto/tls"
	"encoding/base64"
	"net/http"
	"strings"
)

// What instances are told of a client's certificate, and nobody but Holdfast may say: the fields of RFC 9440, and the name in it as text.
const (
	certHeader    = "Client-Cert"
	chainHeader   = "Client-Cert-Chain"
	subjectHeader = "X-Client-Cert-Subject"
)

// maxSubject bounds the name as text, in bytes.
const maxSubject = 1 << 10

// setIdentity tells the instance who the client has proved to be. What a client says itself is taken out, also on listeners without TLS: an instance cannot
// tell by which of them a request came. A trusted proxy in front that ends TLS may have asked for the certificate.
func (x *exchange) setIdentity(h http.Header) {
	state := x.tlsState()
	if state == nil && x.client.trusted {
		return
	}
	for _, name := range [...]string{certHeader, chainHeader, subjectHeader} {
		delete(h, name)
	}
	if state == nil || len(state.VerifiedChains) == 0 {
		return
	}
	cert, subject := identityOf(state)
	h[certHeader], h[subjectHeader] = []string{cert}, []string{subject}
}

// identityOf gives what instances are told of the certificate of a client, "" when it has not shown one that is believed.
func identityOf(state *tls.ConnectionState) (cert, subject string) {
	if len(state.VerifiedChains) == 0 {
		return "", ""
	}
	leaf := state.PeerCertificates[0]
	return ":" + base64.StdEncoding.EncodeToString(leaf.Raw) + ":", visible(leaf.Subject.String())
}

// visible writes a name so that it can be the value of a field: what is not ASCII or could be taken for more than text is escaped as RFC 4514 does.
func visible(name string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(name) && b.Len() < maxSubject-3; i++ {
		if c := name[i]; c >= ' ' && c < 0x7f {
			b.WriteByte(c)
		} else {
			b.WriteString(`\` + string(digits[c>>4]) + string(digits[c&15]))
		}
	}
	return strings.TrimSpace(b.String())
}
