package config

// Proxy is what is true of the requests of all listeners and modules.
type Proxy struct {
	// TrustedProxies are networks of proxies in front of Holdfast ("10.0.0.0/8", "2001:db8::/32"): what they say about the client is believed. A listener may
	// name more. Nobody else is believed.
	TrustedProxies []string   `json:"trustedProxies,omitempty"`
	Forwarded      Forwarded  `json:"forwarded"`
	RequestID      RequestID  `json:"requestId"`
	Limits         HeadLimits `json:"limits"`
	Timeouts       Timeouts   `json:"timeouts"`
	AccessLog      AccessLog  `json:"accessLog"`
	// ErrorPages replace the pages of Holdfast's own answers; the first that fits counts.
	ErrorPages []ErrorPage `json:"errorPages,omitempty"`
	// FilesPath is the path below which every listener for requests serves the files of the group, as in /_files/; it comes before all modules. Empty: they are
	// not served.
	FilesPath string `json:"filesPath,omitempty"`
}

// Forwarded says what instances are told about the client.
type Forwarded struct {
	// Mode is set (default): the client and nobody else; append: the proxies on the way too; or off: nothing.
	Mode string `json:"mode"`
	// Read is which fields the trusted proxies set: x-forwarded (default) or forwarded (RFC 7239). Those of the other kind are dropped.
	Read string `json:"read"`
	// Write is which fields the instances get: x-forwarded (default), forwarded or both.
	Write string `json:"write"`
}

// RequestID gives every request an id, in a header field that the instance gets.
type RequestID struct {
	// Header is the field; empty (default): there are no ids.
	Header string `json:"header"`
	// Trust says whose id is kept: proxies (default: that of a trusted proxy), all or none.
	Trust string `json:"trust"`
	// Respond has the client told as well.
	Respond bool `json:"respond"`
}

// HeadLimits bounds one request.
type HeadLimits struct {
	// Head is the size of a request's head (32KiB), Target that of its target (8KiB), Lines the number of its fields (100).
	Head   Size `json:"head"`
	Target Size `json:"target"`
	Lines  int  `json:"lines"`
	// Body is the size of a request's body; 0: no bound. A module's own bound beats it.
	Body Size `json:"body"`
}

// Timeouts bounds the phases of a request; the wait for the head of a response is the cluster's responseTimeout. 0 is no bound, where that is allowed.
type Timeouts struct {
	// Connect is for a connection to an instance (5s), its TLS handshake apart.
	Connect Duration `json:"connect"`
	// Head is from the first byte of a request's head to its last (10s).
	Head Duration `json:"head"`
	// RequestBody and ResponseBody are for the next piece of a body, Send for a client to take a piece (0).
	RequestBody  Duration `json:"requestBody"`
	ResponseBody Duration `json:"responseBody"`
	Send         Duration `json:"send"`
	// Idle is how long a connection of a client may wait for its next request (75s).
	Idle Duration `json:"idle"`
	// Tunnel is how long neither side of an upgraded connection may send anything (0).
	Tunnel Duration `json:"tunnel"`
}

// AccessLog says what the access log of a node holds. Whether and where a node writes one is a setting of the node.
type AccessLog struct {
	// Format is json (default), combined or off.
	Format string `json:"format"`
	// Fields are those of a line of json, in this order; empty: the usual ones.
	Fields []string `json:"fields,omitempty"`
	// Sample: one request of so many is logged (1); those that failed are logged always.
	Sample int `json:"sample"`
}

// ErrorPage is the page of some of Holdfast's own answers. The client gets the form that it prefers.
type ErrorPage struct {
	// Status lists status codes as in "502-504", or is maintenance: all clusters that have the module have it disabled.
	Status string `json:"status"`
	// HTML, JSON and Text are the page in three forms. In each, {status}, {reason}, {message} and {requestId} are replaced.
	HTML string `json:"html,omitempty"`
	JSON string `json:"json,omitempty"`
	Text string `json:"text,omitempty"`
	// File is a file of the group that is the page in one form, by the end of its name: .html, .json or .txt. Placeholders are replaced as in the others.
	File string `json:"file,omitempty"`
	// RetryAfter is what the client is told; 0: the usual.
	RetryAfter Duration `json:"retryAfter"`
}

// Rates bounds requests and connections, on each node by itself. 0 is no bound.
type Rates struct {
	RequestsPerSecond int `json:"requestsPerSecond"`
	// Burst is how many may come at once; 0: as many as RequestsPerSecond.
	Burst int `json:"burst"`
	// Connections is how many connections a listener has at once, or how many requests a module has in flight.
	Connections int `json:"connections"`
}

// ListenerLimits bounds what comes in by a listener: all of it as Rates does, and each client's part of it.
type ListenerLimits struct {
	RequestsPerSecond int `json:"requestsPerSecond"`
	Burst             int `json:"burst"`
	Connections       int `json:"connections"`
	// PerClient is for each client: those of IPv4 are told apart by address, those of IPv6 by /64.
	PerClient Rates `json:"perClient"`
}

// All are the bounds of the whole listener.
func (l ListenerLimits) All() Rates { return Rates{l.RequestsPerSecond, l.Burst, l.Connections} }

// ModuleLimits bounds the requests of a module.
type ModuleLimits struct {
	RequestsPerSecond int `json:"requestsPerSecond"`
	Burst             int `json:"burst"`
	Connections       int `json:"connections"`
	// Body is the size of a request's body; 0: that of the group.
	Body Size `json:"body"`
	// PerClient is for each client, as in ListenerLimits.
	PerClient Rates `json:"perClient"`
}

// All are the bounds of the whole module.
func (l ModuleLimits) All() Rates { return Rates{l.RequestsPerSecond, l.Burst, l.Connections} }
