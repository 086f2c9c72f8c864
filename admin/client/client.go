package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// The documents of the API.
type (
	// Problem is the error of a call that the API refused.
	Problem        = wire.Problem
	Status         = wire.Status
	Node           = wire.Node
	Duty           = wire.Duty
	Cluster        = wire.Cluster
	Instance       = wire.Instance
	Session        = wire.Session
	SessionPage    = wire.SessionPage
	Lookup         = wire.Lookup
	LookupResult   = wire.LookupResult
	Revision       = wire.Revision
	ConfigResult   = wire.ConfigResult
	ValidateResult = wire.ValidateResult
	Token          = wire.Token
	TokenRequest   = wire.TokenRequest
	NewToken       = wire.NewToken

	Certificate           = wire.Certificate
	CertificateACME       = wire.CertificateACME
	ExternalAccount       = wire.ExternalAccount
	CertificateRequest    = wire.CertificateRequest
	NewCertificateRequest = wire.NewCertificateRequest

	Subject            = wire.Subject
	Effect             = wire.Effect
	Edits              = wire.Edits
	Rollback           = wire.Rollback
	Plan               = wire.Plan
	PlanEdits          = wire.PlanEdits
	Schedule           = wire.Schedule
	Quiesce            = wire.Quiesce
	QuiesceUpdate      = wire.QuiesceUpdate
	Maintenance        = wire.Maintenance
	MaintenanceRequest = wire.MaintenanceRequest
	Endpoints          = wire.Endpoints
	Heartbeat          = wire.Heartbeat
	Module             = wire.Module
)

// DefaultURL is where a node serves its admin API unless it was told otherwise.
const DefaultURL = "http://127.0.0.1:7700"

// Options say which nodes to ask, and how.
type Options struct {
	// URLs are base addresses of nodes, http://HOST:PORT; a bare HOST:PORT is taken as http. None: DefaultURL.
	URLs []string
	// Token is an access token (hft1.…); without one only a node on this machine answers.
	Token string
	// Rounds is how often each node is asked before a call fails; 0: 2.
	Rounds int
	// Pause is the time between rounds; 0: 250 ms. A longer Retry-After is kept, up to 2 s.
	Pause time.Duration
	// AttemptTimeout bounds one attempt with one node; 0: 15 s. The context bounds the whole call.
	AttemptTimeout time.Duration
	// Transport is for tests; nil: one of the client's own.
	Transport http.RoundTripper
	// UserAgent is what the nodes see; empty: holdfast-client.
	UserAgent string
}

// Client calls the admin API. Make one with New.
type Client struct {
	urls    []string
	token   string
	rounds  int
	pause   time.Duration
	attempt time.Duration
	agent   string
	http    *http.Client
	owned   *http.Transport // closed by Close
	current atomic.Int64    // index in urls of the node that answered last
}

// maxRetryAfter bounds what a node may make a caller wait.
const maxRetryAfter = 2 * time.Second

// New makes a client. The error says which address is wrong.
func New(opt Options) (*Client, error) {
	c := &Client{token: opt.Token, rounds: opt.Rounds, pause: opt.Pause, attempt: opt.AttemptTimeout, agent: opt.UserAgent}
	if len(opt.URLs) == 0 {
		opt.URLs = []string{DefaultURL}
	}
	for _, text := range opt.URLs {
		base, err := parseBase(text)
		if err != nil {
			return nil, err
		}
		c.urls = append(c.urls, base)
	}
	if strings.ContainsFunc(c.token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("access token: has characters that no token has")
	}
	if c.rounds == 0 {
		c.rounds = 2
	}
	if c.pause == 0 {
		c.pause = 250 * time.Millisecond
	}
	if c.attempt == 0 {
		c.attempt = 15 * time.Second
	}
	if c.agent == "" {
		c.agent = "holdfast-client"
	}
	transport := opt.Transport
	if transport == nil {
		c.owned = &http.Transport{
			// No proxy from the environment: the token is for the node, and loopback needs none.
			MaxIdleConnsPerHost: 4, IdleConnTimeout: 30 * time.Second, TLSHandshakeTimeout: 5 * time.Second,
			DialContext: dialer.DialContext, MaxResponseHeaderBytes: 64 << 10,
		}
		transport = c.owned
	}
	c.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c, nil
}

// parseBase takes http://HOST:PORT, https://HOST:PORT or HOST:PORT.
func parseBase(text string) (string, error) {
	full := strings.TrimSpace(text)
	if !strings.Contains(full, "://") {
		full = "http://" + full
	}
	u, err := url.Parse(full)
	if err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https") || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", fmt.Errorf("admin address %q: want http://HOST:PORT", text)
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u.String(), nil
}

// Close lets idle connections go. Calls that are under way are not disturbed.
func (c *Client) Close() {
	if c.owned != nil {
		c.owned.CloseIdleConnections()
	}
}

// Unreachable says that no node answered.
type Unreachable struct {
	// Tried has one error for each node, in the order in which they were asked.
	Tried []error
}

// Error lists what happened with each node.
func (u *Unreachable) Error() string {
	if len(u.Tried) == 1 {
		return u.Tried[0].Error()
	}
	texts := make([]string, len(u.Tried))
	for i, err := range u.Tried {
		texts[i] = err.Error()
	}
	return "no node answers: " + strings.Join(texts, "; ")
}

// Unwrap gives the single errors.
func (u *Unreachable) Unwrap() []error { return u.Tried }

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
