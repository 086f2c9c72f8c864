package admin

import (
	"context"
	"fmt"
	"slices"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// maxWarnings bounds the list; beyond that nobody reads it.
const maxWarnings = 50

// warnings says what about a change from current to next is legal but perhaps not meant.
func (a *API) warnings(ctx context.Context, current, next *config.Config) []string {
	return a.warningsAbout(ctx, current, next, next.Listeners)
}

// warningsAbout looks only at these listeners for the nodes that they name.
func (a *API) warningsAbout(ctx context.Context, current, next *config.Config, listeners []config.Listener) []string {
	list := append(append([]string{}, next.Warnings()...), a.certificateWarnings(next)...)
	list = append(list, a.placeWarnings(ctx, listeners)...)
	warn := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if n := len(current.Listeners); n > 0 && len(next.Listeners) == 0 {
		warn("no listener is left (%d before): no request reaches the group any more, whatever becomes of sessions; they stay on record until their idle time is over", n)
	}
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
			case n == 1 && at >= 0:
				warn("instance %s of cluster %s is removed: its 1 session fails over to the others of the cluster", inst.Name, was.Name)
			case n > 0 && at >= 0:
				warn("instance %s of cluster %s is removed: its %d sessions fail over to the others of the cluster", inst.Name, was.Name, n)
			case n == 1:
				warn("cluster %s is removed: the 1 session of its instance %s is no longer served", was.Name, inst.Name)
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
