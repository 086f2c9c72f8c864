package config

// TLS is how a listener of protocol https speaks it. Which certificates it presents is Listener.Certificates.
type TLS struct {
	// MinVersion is the oldest version that is spoken: 1.2 (default) or 1.3.
	MinVersion string `json:"minVersion"`
	// HandshakeTimeout bounds one handshake (10s), Handshakes how many a node has under way at once (1000); a tenth of them for one client.
	HandshakeTimeout   Duration           `json:"handshakeTimeout"`
	Handshakes         int                `json:"handshakes"`
	ClientCertificates ClientCertificates `json:"clientCertificates"`
	HSTS               HSTS               `json:"hsts"`
}

// ClientCertificates says whether clients show who they are.
type ClientCertificates struct {
	// Mode is off (default), request: one that is shown is verified, or require: without one there is no connection.
	Mode string `json:"mode"`
	// Authorities are the bundles of authorities that vouch for clients.
	Authorities []string `json:"authorities,omitempty"`
}

// HSTS has browsers use https alone from then on (RFC 6797).
type HSTS struct {
	// MaxAge is for how long; 0 (default): nothing is said.
	MaxAge            Duration `json:"maxAge"`
	IncludeSubDomains bool     `json:"includeSubDomains"`
	Preload           bool     `json:"preload"`
}

// HTTPSRedirect has a listener of protocol http answer everything with a redirect to https.
type HTTPSRedirect struct {
	// Port is where clients find https (443).
	Port int `json:"port"`
	// Status is 301, 302, 307 or 308 (default), which alone keeps the method for good.
	Status int `json:"status"`
}

// InstanceTLS is how a certificate of an instance is verified.
type InstanceTLS struct {
	// Authorities are bundles that vouch for instances; empty: those of the system.
	Authorities []string `json:"authorities,omitempty"`
	// ServerName is the name that the certificate must have, and that the instance is asked for; empty: the host of the URL.
	ServerName string `json:"serverName,omitempty"`
}

// ClientAuthorities are the bundles of authorities that vouch for the clients of the listener.
func (l *Listener) ClientAuthorities() []string {
	if l.TLS == nil {
		return nil
	}
	return l.TLS.ClientCertificates.Authorities
}

// The defaults of TLS. 10 s is what heads of requests have too; a thousand handshakes at once take a second of one processor.
const (
	defaultHandshakes = 1000
	defaultHTTPSPort  = 443
	defaultRedirect   = 308
)

// DefaultTLS is what a listener of protocol https has when it says nothing.
func DefaultTLS() TLS {
	return TLS{MinVersion: "1.2", HandshakeTimeout: 10 * second, Handshakes: defaultHandshakes, ClientCertificates: ClientCertificates{Mode: "off"}}
}

// fillInListener gives a listener of protocol https the settings that it has when it says nothing.
func fillInListener(l *Listener) {
	if l.Protocol == "https" && l.TLS == nil {
		t := DefaultTLS()
		l.TLS = &t
	}
}

// takeOutListener is the reverse of fillInListener.
func takeOutListener(l *Listener) {
	if l.Protocol == "https" && l.TLS != nil && len(l.ClientAuthorities()) == 0 {
		t := *l.TLS
		t.ClientCertificates.Authorities = nil
		if d := DefaultTLS(); t.MinVersion == d.MinVersion && t.HandshakeTimeout == d.HandshakeTimeout && t.Handshakes == d.Handshakes && t.HSTS == d.HSTS && t.ClientCertificates.Mode == d.ClientCertificates.Mode {
			l.TLS = nil
		}
	}
}

// cloneInstanceTLS is for Clone.
func cloneInstanceTLS(k *Cluster) {
	if k.InstanceTLS != nil {
		t := *k.InstanceTLS
		t.Authorities = append([]string(nil), t.Authorities...)
		k.InstanceTLS = &t
	}
}

// InstanceAuthorities are the bundles of authorities that vouch for the instances of the cluster.
func (c *Cluster) InstanceAuthorities() []string {
	if c.InstanceTLS == nil {
		return nil
	}
	return c.InstanceTLS.Authorities
}

// cloneTLS is for Clone.
func cloneTLS(l *Listener) {
	if l.TLS != nil {
		t := *l.TLS
		t.ClientCertificates.Authorities = append([]string(nil), t.ClientCertificates.Authorities...)
		l.TLS = &t
	}
	if l.HTTPSRedirect != nil {
		r := *l.HTTPSRedirect
		l.HTTPSRedirect = &r
	}
}
