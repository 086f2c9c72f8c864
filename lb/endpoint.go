package lb

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	connectTimeout = 5 * time.Second
	// idleTimeout of connections to instances: shorter than the keep-alive time of common servers (Tomcat 20 s), so that it is
	// Holdfast that closes and no request runs into an instance's close.
	idleConnTimeout   = 15 * time.Second
	idleConnsPerURL   = 256
	continueTimeout   = time.Second
	maxResponseHeader = 256 << 10
)

// connectError says that a request could not be handed over: not a byte of it has left.
type connectError struct{ err error }

func (e *connectError) Error() string { return "connect: " + e.err.Error() }
func (e *connectError) Unwrap() error { return e.err }

// endpoint is one listener URL of an instance with its connections and its health. It lives for as long as the configuration
// names the URL for this instance.
type endpoint struct {
	url       string // as configured
	scheme    string
	hostPort  string
	dialer    net.Dialer
	transport *http.Transport
	roots     *x509.CertPool // who may vouch for an https listener; nil: the system's (SSL_CERT_FILE adds others)
	health    *health
	prober    *prober
	agent     agent
	stop      context.CancelFunc // ends the prober
}

// newEndpoint parses the listener URL and makes its transport: HTTP/1.1 only, nothing decoded, proxies of the environment ignored.
func newEndpoint(rawURL string) (*endpoint, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("listener URL: %w", err)
	}
	if u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("listener URL %q: want http://HOST:PORT or https://HOST:PORT", rawURL)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	e := &endpoint{
		url: rawURL, scheme: u.Scheme, hostPort: net.JoinHostPort(u.Hostname(), port),
		dialer: net.Dialer{Timeout: connectTimeout, KeepAlive: 15 * time.Second},
		health: newHealth(time.Now()),
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	e.transport = &http.Transport{
		DialContext:            e.dialPlain,
		DialTLSContext:         e.dialTLS,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    idleConnsPerURL,
		IdleConnTimeout:        idleConnTimeout,
		ExpectContinueTimeout:  continueTimeout,
		MaxResponseHeaderBytes: maxResponseHeader,
		Protocols:              &protocols,
		WriteBufferSize:        16 << 10,
		ReadBufferSize:         16 << 10,
	}
	return e, nil
}

// use takes new settings of the checks; the verdict stays as it is.
func (e *endpoint) use(s healthSettings) {
	if s.agentPort == 0 {
		e.forgetAgent()
	}
	e.prober.use(s)
}

func (e *endpoint) up() bool { return e.health.up() }

// dial ignores the address that http.Transport worked out: requests keep the client's Host, the URL may lack a port.
func (e *endpoint) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	conn, err := e.dialer.DialContext(ctx, network, e.hostPort)
	if err != nil {
		return nil, &connectError{err}
	}
	return conn, nil
}

// dialPlain is dial for http.Transport.
func (e *endpoint) dialPlain(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := e.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &instanceConn{Conn: conn}, nil
}

// dialTLS verifies the instance by the roots.
func (e *endpoint) dialTLS(ctx context.Context, network, addr string) (net.Conn, error) {
	raw, err := e.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(e.hostPort)
	if err != nil {
		raw.Close()
		return nil, &connectError{err}
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn := tls.Client(raw, &tls.Config{RootCAs: e.roots, ServerName: host, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, &connectError{err}
	}
	return &instanceConn{Conn: conn}, nil
}

// close ends the checks and the idle connections; requests in flight finish.
func (e *endpoint) close() {
	if e.stop != nil {
		e.stop()
	}
	e.transport.CloseIdleConnections()
}
