package config

import "time"

// Config is the group's configuration, the same on every node. A value that has been handed out is never changed.
type Config struct {
	Listeners []Listener `json:"listeners"`
	Clusters  []Cluster  `json:"clusters"`
	// OnQuorumLoss says what becomes of new sessions while no majority can record them: provisional (default) or refuse.
	// A cluster's own value beats this one.
	OnQuorumLoss string `json:"onQuorumLoss"`
}

// Listener is an address on which every node takes traffic.
type Listener struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	// Protocol is http (default), https or tcp.
	Protocol     string   `json:"protocol"`
	Certificates []string `json:"certificates,omitempty"`
	// Cluster is where a tcp listener leads.
	Cluster string `json:"cluster,omitempty"`
}

// Cluster is a set of instances that serve the same modules. Sessions never leave it.
type Cluster struct {
	Name           string     `json:"name"`
	Policy         string     `json:"policy"`
	Affinity       Affinity   `json:"affinity"`
	Health         Health     `json:"health"`
	QuiesceTimeout Duration   `json:"quiesceTimeout"`
	Locality       string     `json:"locality"`
	Backup         []string   `json:"backup,omitempty"`
	FailBack       string     `json:"failBack,omitempty"`
	OnQuorumLoss   string     `json:"onQuorumLoss,omitempty"`
	Modules        []Module   `json:"modules"`
	Instances      []Instance `json:"instances"`
}

// Affinity says how the requests of one session are recognised.
type Affinity struct {
	// Type is insert (default), learn, header, source or none.
	Type string `json:"type"`
	// Name is the cookie of insert (HOLDFAST).
	Name string `json:"name,omitempty"`
	// Names are the session cookies of learn ([JSESSIONID]); the lower-case form of each is the path parameter.
	Names       []string `json:"names,omitempty"`
	IdleTimeout Duration `json:"idleTimeout"`
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
	Type   string `json:"type"`
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
}

// Duration is a time span written as in "30m" or "1h30m".
type Duration time.Duration
