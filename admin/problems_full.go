package admin

import (
	"fmt"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// full says which clusters take no new session, because every instance that could has as many as it may.
func full(c *config.Config, clusters []wire.Cluster) (list []string) {
	for i := range clusters {
		cl := &clusters[i]
		k := clusterOf(c, cl.Name)
		if k == nil {
			continue
		}
		could, room := 0, false
		for j := range cl.Instances {
			in := &cl.Instances[j]
			if in.Admin != wire.AdminEnabled || in.Weight == 0 || in.Health == wire.HealthDown || in.Verdict == string(fsm.HealthFailed) {
				continue
			}
			could++
			most := mostSessions(k, in.Name)
			room = room || most == 0 || in.Sessions < most
		}
		if could > 0 && !room {
			list = append(list, fmt.Sprintf("cluster %s takes no new session: each of its instances that could has as many as it may (maxSessions); new ones get 503 where no other cluster serves the module", cl.Name))
		}
	}
	return list
}

// mostSessions is the bound of an instance; 0: none.
func mostSessions(k *config.Cluster, name string) int {
	for i := range k.Instances {
		if k.Instances[i].Name == name {
			return k.Instances[i].MaxSessions
		}
	}
	return 0
}
