package config

import (
	"time"
)

// Bounds of durations. A year is more than any session lasts, and keeps sums of them far from overflow.
const (
	second = Duration(time.Second)
	hour   = Duration(time.Hour)
	year   = 8760 * hour
)

// Bounds of lists that are compared with one another or with themselves.
const (
	maxListeners = 1000
	maxList      = 64 // cookies, backups, zones, nodes, patterns
)

// Validate checks a configuration against all rules. The error is of type Errors, without lines. Values that Parse
// would have brought into one spelling or filled in must be so here.
func (c *Config) Validate() error {
	p := &problems{}
	validate(p, c)
	return p.err()
}

func validate(p *problems, c *Config) {
	validateListeners(p, c)
	p.oneOf((*path)(nil).child("onQuorumLoss"), c.OnQuorumLoss, []string{"provisional", "refuse"}, nil)
	validateHolder(p, (*path)(nil).child("holder"), &c.Holder)
	validateProxy(p, (*path)(nil).child("proxy"), c)
	validateACME(p, (*path)(nil).child("acme"), c.ACME)
	names := uniqueNames{p: p, what: "cluster"}
	clusters := (*path)(nil).child("clusters")
	for i := range c.Clusters {
		if p.full() {
			p.more = true
			return
		}
		at := clusters.item(i)
		names.check(at.child("name"), c.Clusters[i].Name)
		validateCluster(p, at, &c.Clusters[i])
	}
	validateBackups(p, clusters, c.Clusters)
}
