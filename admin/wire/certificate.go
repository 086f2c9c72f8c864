package wire

import "time"

// The kinds of certificates.
const (
	CertificateServer      = "server"      // with a private key: listeners present it
	CertificateAuthorities = "authorities" // a bundle that vouches for clients
)

// CertificateRequest brings a certificate.
type CertificateRequest struct {
	// Certificate is PEM: of a server the chain, in any order; of authorities all of them.
	Certificate string `json:"certificate" minLength:"1" maxLength:"262144" doc:"PEM: the chain of a server's certificate, or the certificates of authorities"`
	Key         string `json:"key,omitempty" maxLength:"65536" doc:"PEM: the private key of a server's certificate, unless it stands in certificate; it is sealed and never shown"`
	Kind        string `json:"kind,omitempty" enum:"server,authorities" doc:"server (default) or authorities"`
}

// NewCertificateRequest brings a certificate of a new name.
type NewCertificateRequest struct {
	Name string `json:"name" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$" patternDescription:"1 to 63 letters, digits, dots, dashes or underscores, the first a letter or a digit" doc:"by which listeners name it"`
	CertificateRequest
}

// Certificate describes a certificate without its key.
type Certificate struct {
	Name    string    `json:"name"`
	Kind    string    `json:"kind" enum:"server,authorities"`
	Changed time.Time `json:"changed,omitzero" doc:"when it was added or rotated last; absent while it is still to be obtained"`
	Actor   string    `json:"actor,omitempty"`
	// Listeners name it.
	Listeners []string `json:"listeners"`
	// Clusters and Authority say what else a bundle of authorities is for.
	Clusters  []string `json:"clusters,omitempty" doc:"clusters whose instances it vouches for (instanceTLS)"`
	Authority bool     `json:"authority,omitempty" doc:"it vouches for the server of the authority that issues (acme.authorities)"`
	// Certificates are the chain, that of the server first, or the authorities.
	Certificates []CertificateInfo `json:"certificates"`
	Warnings     []string          `json:"warnings,omitempty" doc:"what clients may not accept"`
	ACME         *CertificateACME  `json:"acme,omitempty" doc:"how the group obtains it itself; absent when it does not"`
}

// CertificateACME says how a certificate is obtained from an authority that speaks ACME.
type CertificateACME struct {
	Directory string    `json:"directory" doc:"of the authority"`
	Hosts     []string  `json:"hosts" doc:"for which it is to be good"`
	Key       string    `json:"key" doc:"kind of its private key"`
	RenewAt   time.Time `json:"renewAt,omitzero" doc:"when it is renewed; absent while there is none"`
	Failures  int       `json:"failures" doc:"attempts since the last one that succeeded"`
	Error     string    `json:"error,omitempty" doc:"why the last one failed"`
	Next      time.Time `json:"next,omitzero" doc:"when it is tried again after a failure"`
	Requested time.Time `json:"requested,omitzero" doc:"when somebody asked for another one, until it is there"`
}

// ExternalAccount is the key by which an authority knows its customer (RFC 8555 section 7.3.4).
type ExternalAccount struct {
	KeyID string `json:"keyId" minLength:"1" maxLength:"128" pattern:"^[!-~]+$" doc:"by which acme.externalAccount names it"`
	Key   string `json:"key" minLength:"16" maxLength:"1024" doc:"base64url, as the authority hands it out; it is sealed and never shown"`
}

// CertificateInfo is one certificate of a chain or a bundle.
type CertificateInfo struct {
	Subject     string    `json:"subject"`
	Issuer      string    `json:"issuer"`
	Names       []string  `json:"names,omitempty" doc:"DNS names and IP addresses for which it is good"`
	NotBefore   time.Time `json:"notBefore"`
	NotAfter    time.Time `json:"notAfter"`
	Serial      string    `json:"serial" doc:"hexadecimal"`
	Fingerprint string    `json:"fingerprint" doc:"SHA-256 of the DER, hexadecimal"`
	Key         string    `json:"key" doc:"kind of key, as in ECDSA P-256"`
	PEM         string    `json:"pem,omitempty" doc:"the certificate itself, where one is asked for by name"`
}

// CertificateList is all certificates of the group.
type CertificateList struct {
	Certificates []Certificate `json:"certificates"`
	// Presented is what instances that end TLS themselves present.
	Presented []PresentedCertificate `json:"presented,omitempty" doc:"what instances that end TLS themselves present, the listener of each that ends first, as the node that answers has seen it"`
}

// PresentedCertificate is what an instance presents.
type PresentedCertificate struct {
	Cluster  string `json:"cluster"`
	Instance string `json:"instance"`
	InstanceCertificate
}
