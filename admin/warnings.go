package admin

import (
	"fmt"
	"slices"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// maxWarnings bounds the list; beyond that nobody reads it.
const maxWarnings = 50

// warnings says what about a change from current to next is legal but perhaps not meant.
func (a *API) warnings(current, next *config.Config) []string {
	list := append([]string{}, next.Warnings()...)
	warn := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	for _, was := range current.Clusters {
		at := slices.IndexFunc(next.Clusters, func(c config.Cluster) bool { return c.Name == was.Name })
		for _, inst := range was.Instances {
			kept := at >= 0 && slices.ContainsFunc(next.Clusters[at].Instances, func(i config.Instance) bool { return i.Name == inst.Name })
			id, known := a.opt.State.InstanceID(was.Name, inst.Name)
			if kept || !known {
				continue
			}
			n := a.opt.State.Sessions(id)
			switch {
			case n > 0 && at >= 0:
				warn("instance %s of cluster %s is removed: its %d sessions fail over to the others of the cluster", inst.Name, was.Name, n)
			case n > 0:
				warn("cluster %s is removed: the %d sessions of its instance %s are no longer served", was.Name, n, inst.Name)
			}
		}
	}
	if len(list) > maxWarnings {
		list = append(list[:maxWarnings], fmt.Sprintf("and %d more", len(list)-maxWarnings))
	}
	return list
}
