package config

import "time"

// Config is the group's configuration, the same on every node. A value that has been handed out is never changed.
type Config struct {
	Listeners []Listener `json:"listeners"`
	Clusters  []Cluster  `json:"clusters"`
	// OnQuorumLoss says what becomes of new sessions while no majority can record them: provisional (default) or refuse.
	// A cluster's own value beats this one.
	OnQuorumLoss string `json:"onQuorumLoss"`
	Holder       Holder `json:"holder"`
	Proxy        Proxy  `json:"proxy"`
	// ACME has the group obtain certificates itself; nil: it does not.
	ACME *ACME `json:"acme,omitempty"`
}

// Holder says which node is to hold the virtual addresses when there is a choice. Which addresses there are is a setting of the nodes.
type Holder struct {
	// Prefer names nodes, the best first; any that is eligible beats those that are not named. Empty: none.
	Prefer []string `json:"prefer,omitempty"`
	// Zone is preferred where Prefer does not decide; empty: none.
	Zone string `json:"zone"`
	// Settle is how long a node must have been eligible without a break before the addresses move to it because it is preferred (1m).
	Settle Duration `json:"settle"`
}

// Listener is an address on which every node takes traffic.
type Listener struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	// Protocol is http (default), https, tcp or udp.
	Protocol string `json:"protocol"`
	// HTTP2 lets clients speak HTTP/2 beside HTTP/1.1 (default of http and https: true).
	HTTP2 bool `json:"http2"`
	// HTTP3 lets clients speak HTTP/3 too, on the same port of UDP (protocol https; default: false).
	HTTP3 bool `json:"http3,omitempty"`
	// Certificates are those of protocol https, by name: the first one also for clients that ask for a name which none has.
	Certificates []string `json:"certificates,omitempty"`
	// Cluster is where a tcp or udp listener leads.
	Cluster string `json:"cluster,omitempty"`
	// ServerNames lead TLS connections of a tcp listener to other clusters, by the name of the server that the client asks for. TLS is not ended.
	ServerNames []ServerName `json:"serverNames,omitempty"`
	// IdleTimeout is how long neither side of a connection of a tcp listener may send anything (empty: no bound), and how long a flow of a udp listener
	// lives without a datagram (1m).
	IdleTimeout Duration `json:"idleTimeout,omitempty"`
	// ProxyProtocol says whether trusted proxies begin a connection with a header of the PROXY protocol: accept (they may), require (each connection must
	// come from one of them and have it); empty: off.
	ProxyProtocol string `json:"proxyProtocol,omitempty"`
	// Zones and Nodes say which nodes take traffic here, by --zone and by name; both empty: every node.
	Zones []string `json:"zones,omitempty"`
	Nodes []string `json:"nodes,omitempty"`
	// TrustedProxies are networks that are believed here, besides those of the group.
	TrustedProxies []string       `json:"trustedProxies,omitempty"`
	Limits         ListenerLimits `json:"limits"`
	// TLS is never nil with protocol https, and always with the others.
	TLS *TLS `json:"tls,omitempty"`
	// HTTPSRedirect has protocol http lead to https; nil: it serves.
	HTTPSRedirect *HTTPSRedirect `json:"httpsRedirect,omitempty"`
}

// ServerName leads to a cluster.
type ServerName struct {
	// Name is a DNS name, or *.example.com for all below it. The longest that fits counts.
	Name    string `json:"name"`
	Cluster string `json:"cluster"`
}

// Cluster is a set of instances that serve the same modules. Sessions never leave it.
type Cluster struct {
	Name string `json:"name"`
	// Policy chooses the instance of an unassigned request: round-robin (default), weighted-round-robin, least-sessions, least-requests,
	// power-of-two or peak-ewma.
	Policy   string   `json:"policy"`
	Affinity Affinity `json:"affinity"`
	Health   Health   `json:"health"`
	// QuiesceTimeout is the default of the cluster's modules and instances (31m).
	QuiesceTimeout Duration `json:"quiesceTimeout"`
	// HardTimeout is how long after an instance was stopped (its quiesce is over, it was stopped at once, or removed) what it still has in flight may go
	// on; then every node ends that. 0: as long as it takes.
	HardTimeout Duration `json:"hardTimeout,omitempty"`
	// Locality is none (default), host or zone: near instances are preferred, far ones get requests only when no near one is available.
	Locality string `json:"locality"`
	// Backup names the clusters that get the requests while no instance of this one is available, the first that can first.
	Backup []string `json:"backup,omitempty"`
	// FailBack says when sessions come back that began on a backup instance: immediate (default), or session: they stay. Those that began in a backup
	// cluster stay there, for no session leaves its cluster. Empty when there is no backup.
	FailBack     string `json:"failBack,omitempty"`
	OnQuorumLoss string `json:"onQuorumLoss,omitempty"`
	// SlowStart is how long the share of an instance that has become available grows from a tenth to the whole; 0: at once.
	SlowStart Duration `json:"slowStart"`
	// OnAllQuiescing says what becomes of unassigned requests while the cluster's instances that are available all quiesce: refuse (default) or serve.
	OnAllQuiescing string `json:"onAllQuiescing"`
	// ResponseTimeout bounds the wait for the head of an instance's response (60s); 0: no bound.
	ResponseTimeout Duration `json:"responseTimeout"`
	// Protocol is what the instances are spoken to: http1 (default), or h2: HTTP/2, without asking for http:// listeners, by ALPN for https:// ones.
	Protocol string `json:"protocol"`
	// BodyBuffer is how many bytes of a request's body are kept so that it can be sent again (64KiB); 0: none.
	BodyBuffer Size `json:"bodyBuffer"`
	// SendProxy is the version of the PROXY protocol by which tcp instances are told who the client is: v1 or v2; empty: off.
	SendProxy string `json:"sendProxy,omitempty"`
	// FailoverSameVersion keeps a session whose instance is gone from instances of another version.
	FailoverSameVersion bool         `json:"failoverSameVersion"`
	Registration        Registration `json:"registration"`
	// InstanceTemplate holds the defaults of the cluster's instances. It is no instance itself; nil: there is none.
	InstanceTemplate *Template `json:"instanceTemplate,omitempty"`
	// InstanceTLS is how https listeners of the instances are verified; nil: by the authorities of the system, and by the host of the URL.
	InstanceTLS *InstanceTLS `json:"instanceTLS,omitempty"`
	Modules     []Module     `json:"modules"`
	Instances   []Instance   `json:"instances"`
}

// Template is what the instances of a cluster have where they do not say otherwise when they are written or added. An instance
// keeps its values when the template changes later.
type Template struct {
	Enabled        bool     `json:"enabled"`
	Weight         int      `json:"weight"`
	QuiesceTimeout Duration `json:"quiesceTimeout"`
	Zone           string   `json:"zone"`
	Version        string   `json:"version"`
	Backup         bool     `json:"backup"`
	MaxSessions    int      `json:"maxSessions"`
	MaxConnections int      `json:"maxConnections"`
}

// Registration says whether instances may add themselves to the cluster, and how they show that they live.
type Registration struct {
	// Allow lets them (default: false).
	Allow bool `json:"allow"`
	// Heartbeat is how often they are asked to send one (500ms); one that has sent none for DropAfter (3s) is dropped.
	Heartbeat Duration `json:"heartbeat"`
	DropAfter Duration `json:"dropAfter"`
}

// Affinity says how the requests of one session are recognised.
type Affinity struct {
	// Type is insert (default), learn, header, source or none; of a cluster of streams source (default), sni (the server name of TLS clients) or none.
	Type string `json:"type"`
	// Name is the cookie of insert (HOLDFAST), or the header field of header, which has no default.
	Name string `json:"name,omitempty"`
	// Names are the session cookies of learn ([JSESSIONID]); the lower-case form of each is the path parameter.
	Names       []string `json:"names,omitempty"`
	IdleTimeout Duration `json:"idleTimeout"`
	// Routes are cookies and path parameters of learn that hold nothing but the instance's route, as JROUTE does; default: none.
	Routes []string `json:"routes,omitempty"`
}

// Health says how instances are checked.
type Health struct {
	Path     string   `json:"path"`
	Interval Duration `json:"interval"`
	Timeout  Duration `json:"timeout"`
	// Expect lists the healthy status codes: "100-500", or "200,204,300-399"; both ends count.
	Expect string `json:"expect"`
	Rise   int    `json:"rise"`
	Fall   int    `json:"fall"`
	// Type is http (default), tcp, grpc, agent or none.
	Type string `json:"type"`
	// Mode is active (default) or recover-only: then only instances that are unavailable are checked.
	Mode string `json:"mode"`
	// RetryInterval is how often an unavailable listener is checked; 0: every second, or by interval when that is shorter.
	RetryInterval Duration `json:"retryInterval"`
	// GRPCService is the service that type grpc asks for; empty: the server as a whole.
	GRPCService string `json:"grpcService,omitempty"`
	// AgentPort is where an agent on the instance's host says how it is, beside the check or (type agent) as the only one; 0: no agent.
	AgentPort int `json:"agentPort,omitempty"`
	// Passive lists what takes a listener out of service when requests meet it: connect (default), timeout, reset, 5xx.
	Passive []string `json:"passive"`
	// PassiveFails is how many of timeout, reset and 5xx in a row it takes (1). A refused connection counts at once.
	PassiveFails int `json:"passiveFails"`
}

// Module is a web application of a cluster.
type Module struct {
	ContextRoot    string   `json:"contextRoot"`
	Host           string   `json:"host"`
	Enabled        bool     `json:"enabled"`
	QuiesceTimeout Duration `json:"quiesceTimeout"`
	Replicated     bool     `json:"replicated"`
	// Retries is how many other instances are tried when a request could not be handed over; -1 means all.
	Retries int `json:"retries"`
	// Idempotent lists which further requests may be sent again after a failure.
	Idempotent []Pattern `json:"idempotent,omitempty"`
	// OnSessionLost says what becomes of the sessions of a module that is not replicated when their instance is gone: reassign (default), with
	// the header X-Holdfast-Session: lost, or refuse (503).
	OnSessionLost string `json:"onSessionLost"`
	// WhenDisabled is what requests get when no cluster has the module enabled: unavailable (503, default) or not-found (404).
	WhenDisabled string       `json:"whenDisabled"`
	Limits       ModuleLimits `json:"limits"`
	// Store is what its instances may keep in the group; nil: nothing.
	Store *Store `json:"store,omitempty"`
	// Compression says which responses are compressed; nil: none.
	Compression *Compression `json:"compression,omitempty"`
}

// Pattern is a URL pattern by the rules of servlet mappings: /foo/bar/*, *.jpg, an exact path, or / for all. It is relative to the context root.
type Pattern struct {
	Pattern string `json:"pattern"`
	// Retries is how many other instances are tried; -1 (default) means all.
	Retries int `json:"retries"`
}

// Instance is one application server process. Its name is the stable key of affinity, whatever its address.
type Instance struct {
	Name           string   `json:"name"`
	Listeners      []string `json:"listeners"`
	Enabled        bool     `json:"enabled"`
	Weight         int      `json:"weight"`
	QuiesceTimeout Duration `json:"quiesceTimeout"`
	Zone           string   `json:"zone"`
	Version        string   `json:"version"`
	// Route is the suffix by which the instance marks its session ids (Tomcat's jvmRoute, WebSphere's CloneID); default: Name.
	Route string `json:"route"`
	// Backup instances get requests only while no other is available.
	Backup bool `json:"backup"`
	// MaxSessions is how many assignments the instance has at most, over all nodes; 0: no bound.
	MaxSessions int `json:"maxSessions"`
	// MaxConnections is how many requests the instance has in flight at most, over all nodes; 0: no bound.
	MaxConnections int `json:"maxConnections"`
	// FailoverTo is the instance that takes its sessions over if it can; empty: whoever the policy says.
	FailoverTo string `json:"failoverTo,omitempty"`
	// HardTimeout is that of the instance; 0: that of the cluster.
	HardTimeout Duration `json:"hardTimeout,omitempty"`
}

// Size is a number of bytes, written as in 65536, "64KiB" or "1MiB".
type Size int64

// Duration is a time span written as in "30m" or "1h30m".
type Duration time.Duration
