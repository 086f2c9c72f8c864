package admin

import (
	"context"
	"fmt"
	"slices"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
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
	if n := len(current.Listeners); n > 0 && len(next.Listeners) == 0 {
		list = append(list, fmt.Sprintf("no listener is left (%d before): no request reaches the group any more, whatever becomes of sessions; they stay on record until their idle time is over", n))
	}
	list = append(list, a.removedWarnings(current, next)...)
	if len(list) > maxWarnings {
		list = append(list[:maxWarnings], fmt.Sprintf("and %d more", len(list)-maxWarnings))
	}
	return list
}

// removedWarnings says what becomes of the sessions of instances that are gone, in the words of the effect: they may have nowhere to go in their cluster, and where that is gone too another one may serve them.
func (a *API) removedWarnings(current, next *config.Config) (list []string) {
	turning := a.turning(current, next)
	for i := range current.Clusters {
		was := &current.Clusters[i]
		now := clusterOf(next, was.Name)
		for j := range was.Instances {
			name := was.Instances[j].Name
			kept := now != nil && slices.ContainsFunc(now.Instances, func(i config.Instance) bool { return i.Name == name })
			id, known := a.opt.State.InstanceID(was.Name, name)
			if kept || !known {
				continue
			}
			n := a.opt.State.Sessions(id)
			if n == 0 {
				continue
			}
			sessions := fmt.Sprintf("%d sessions", n)
			if n == 1 {
				sessions = "1 session"
			}
			text := fmt.Sprintf("instance %s of cluster %s is removed: its %s", name, was.Name, sessions)
			if now == nil {
				text = fmt.Sprintf("cluster %s is removed: the %s of its instance %s", was.Name, sessions, name)
			}
			list = append(list, text+" "+becomes(turning.goes(fsm.Subject{Cluster: was.Name, Instance: name}), n == 1))
		}
	}
	return list
}

// becomes is what becomes of sessions that go there.
func becomes(goes string, one bool) string {
	s := map[bool]string{true: "s"}[one]
	switch goes {
	case wire.GoesToInstances:
		return "fail" + s + " over to the others of the cluster"
	case wire.GoesToClusters:
		return "begin" + s + " anew in another cluster"
	case wire.GoesToSome:
		return "begin" + s + " anew in another cluster that serves the module, or get" + s + " 503 where there is none"
	}
	return "get" + s + " 503, for nothing else serves it"
}
