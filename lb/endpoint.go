package lb

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/holdfast-lb/holdfast/lb/h1"
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
	connect   atomic.Int64 // how long a connection may take, and its handshake, in ns
	transport transport
	h2        bool                         // it is spoken to in HTTP/2, see http2Transport
	origin    atomic.Pointer[h1.Origin]    // the same for the loops: plain HTTP at an address that is known; else nil
	at        atomic.Pointer[netip.Addr]   // where it was reached last; nil: a name that nobody has looked up yet
	oddUntil  atomic.Int64                 // Unix seconds: until then the loops leave it alone, see odd
	roots     *x509.CertPool               // who may vouch for an https listener; nil: the system's (SSL_CERT_FILE adds others)
	trust     atomic.Pointer[trust]        // how it is verified; nil: by roots and its host
	shows     atomic.Pointer[presentation] // the certificate that it presents; nil: none was seen
	compare   func()                       // called when it presents another one; nil in some tests
	expires   func(*presentation)          // called when that ends soon; nil in some tests
	reached   atomic.Bool                  // a connection to it has been made
	health    *health
	prober    *prober
	agent     agent
	stop      context.CancelFunc // ends the prober
}

// transport has requests carried to a listener.
type transport interface {
	http.RoundTripper
	CloseIdleConnections()
}

// newEndpoint parses the listener URL and makes its transport: HTTP/1.1, or HTTP/2 alone; nothing decoded, proxies of the environment ignored.
func newEndpoint(rawURL string, h2 bool) (*endpoint, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("listener URL: %w", err)
	}
	if u.Host == "" || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "tcp" && u.Scheme != "udp" {
		return nil, fmt.Errorf("listener URL %q: want HOST:PORT behind http://, https://, tcp:// or udp://", rawURL)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	e := &endpoint{
		url: rawURL, scheme: u.Scheme, h2: h2, hostPort: net.JoinHostPort(u.Hostname(), port),
		dialer: net.Dialer{KeepAlive: 15 * time.Second},
		health: newHealth(time.Now()),
	}
	e.connect.Store(int64(connectTimeout))
	if h2 {
		e.transport = e.http2Transport()
		return e, nil
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
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		e.locate(ip)
	}
	return e, nil
}

// use takes new settings of the checks; the verdict stays as it is.
func (e *endpoint) use(s healthSettings) {
	e.agent.wanted(s.agentPort != 0)
	if s.agentPort == 0 {
		e.forgetAgent()
	}
	e.prober.use(s)
}

func (e *endpoint) up() bool { return e.health.up() }

// dial ignores the address that http.Transport worked out: requests keep the client's Host, the URL may lack a port.
func (e *endpoint) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	dialer := e.dialer
	dialer.Timeout = time.Duration(e.connect.Load())
	conn, err := dialer.DialContext(ctx, network, e.hostPort)
	if err != nil {
		return nil, &connectError{err}
	}
	e.noteReached()
	if at, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		e.locate(at.AddrPort().Addr())
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
	conn, err := e.handshake(ctx, network, addr, "http/1.1")
	if err != nil {
		return nil, err
	}
	return &instanceConn{Conn: conn}, nil
}

// handshake makes a connection of TLS.
func (e *endpoint) handshake(ctx context.Context, network, addr, protocol string) (*tls.Conn, error) {
	raw, err := e.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(e.hostPort)
	if err != nil {
		raw.Close()
		return nil, &connectError{err}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(e.connect.Load()))
	defer cancel()
	conn := tls.Client(raw, e.clientTLS(host, protocol))
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		e.showedInvalid(err)
		return nil, &connectError{err}
	}
	return conn, nil
}

// close ends the checks and the idle connections; requests in flight finish.
func (e *endpoint) close() {
	if e.stop != nil {
		e.stop()
	}
	e.transport.CloseIdleConnections()
	if o := e.origin.Load(); o != nil {
		o.Close()
	}
}
