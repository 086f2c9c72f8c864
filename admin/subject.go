package admin

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// maxSubjects bounds a list of them in a query.
const maxSubjects = 200

// parseNow reads the query parameter now: nothing, all, or a list.
func parseNow(text string) (list []wire.Subject, all bool, err error) {
	switch text {
	case "":
		return nil, false, nil
	case "all":
		return nil, true, nil
	}
	parts := strings.Split(text, ",")
	if len(parts) > maxSubjects {
		return nil, false, invalidRequest("query.now", "has more than %d names; with POST /v1/config/edits 1000 are possible", maxSubjects)
	}
	for _, part := range parts {
		s, ok := wire.ParseSubject(part)
		if !ok {
			return nil, false, invalidRequest("query.now", "must be all, or a list as in cluster1/instance1,cluster1:/fortune")
		}
		list = append(list, s)
	}
	return list, false, nil
}

// subjects resolves names by what is in force and by the configuration that comes next: a cluster alone is all its instances, and with all whatever
// the change disables. at says where the names stand in the request.
func (a *API) subjects(at string, names []wire.Subject, all bool, next *config.Config) ([]fsm.Subject, error) {
	var out []fsm.Subject
	if all {
		out = disabledBy(a.opt.State.Revision().Config, next)
	}
	for i, name := range names {
		found := resolve(name, a.opt.State.Operating().Config)
		if len(found) == 0 && next != nil {
			found = resolve(name, next)
		}
		if len(found) == 0 {
			return nil, invalidRequest(fmt.Sprintf("%s[%d]", at, i), "%s", missing(name))
		}
		for _, s := range found {
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out, nil
}

// resolve finds what name means in c: nothing, one subject, or all instances of a cluster.
func resolve(name wire.Subject, c *config.Config) []fsm.Subject {
	cl := clusterOf(c, name.Cluster)
	if cl == nil || name.Instance != "" && name.ContextRoot != "" {
		return nil
	}
	var out []fsm.Subject
	switch name.Kind() {
	case wire.KindModule:
		for i := range cl.Modules {
			if m := &cl.Modules[i]; m.Host == name.Host && m.ContextRoot == name.ContextRoot {
				out = append(out, moduleSubject(cl.Name, m))
			}
		}
	default:
		for i := range cl.Instances {
			if in := &cl.Instances[i]; name.Instance == "" || in.Name == name.Instance {
				out = append(out, fsm.Subject{Cluster: cl.Name, Instance: in.Name})
			}
		}
	}
	return out
}

// missing says what a name names that is not there.
func missing(name wire.Subject) string {
	switch name.Kind() {
	case wire.KindModule:
		return fmt.Sprintf("cluster %.128q has no module %.300q", name.Cluster, name.Name())
	case wire.KindInstance:
		return fmt.Sprintf("cluster %.128q has no instance %.128q", name.Cluster, name.Instance)
	}
	return fmt.Sprintf("there is no cluster %.128q, or it has no instances", name.Cluster)
}

// disabledBy lists what is enabled in from and disabled in to.
func disabledBy(from, to *config.Config) []fsm.Subject {
	enabled := map[fsm.Subject]bool{}
	eachSubject(from, func(s fsm.Subject, on bool) { enabled[s] = on })
	var out []fsm.Subject
	eachSubject(to, func(s fsm.Subject, on bool) {
		if !on && enabled[s] {
			out = append(out, s)
		}
	})
	return out
}

// eachSubject calls f for each instance and module, in the order of the configuration.
func eachSubject(c *config.Config, f func(s fsm.Subject, enabled bool)) {
	for i := range c.Clusters {
		cl := &c.Clusters[i]
		for j := range cl.Instances {
			f(fsm.Subject{Cluster: cl.Name, Instance: cl.Instances[j].Name}, cl.Instances[j].Enabled)
		}
		for j := range cl.Modules {
			f(moduleSubject(cl.Name, &cl.Modules[j]), cl.Modules[j].Enabled)
		}
	}
}

func moduleSubject(cluster string, m *config.Module) fsm.Subject {
	return fsm.Subject{Cluster: cluster, Host: m.Host, ContextRoot: m.ContextRoot}
}

func clusterOf(c *config.Config, name string) *config.Cluster {
	for i := range c.Clusters {
		if c.Clusters[i].Name == name {
			return &c.Clusters[i]
		}
	}
	return nil
}

// quiescing tells whether one of list is.
func (a *API) quiescing(list []fsm.Subject) bool {
	for i := range a.opt.State.Operating().Quiesces {
		if slices.Contains(list, a.opt.State.Operating().Quiesces[i].Subject) {
			return true
		}
	}
	return false
}

// phases says which requests each instance and module of what is in force gets.
func phases(o *fsm.Operating) map[fsm.Subject]fsm.Phase {
	out := map[fsm.Subject]fsm.Phase{}
	eachSubject(o.Config, func(s fsm.Subject, enabled bool) {
		if out[s] = fsm.PhaseStopped; enabled {
			out[s] = fsm.PhaseServing
		}
	})
	for i := range o.Quiesces {
		if p, known := out[o.Quiesces[i].Subject]; known && p == fsm.PhaseStopped {
			out[o.Quiesces[i].Subject] = fsm.PhaseQuiescing
		}
	}
	return out
}

// checkStopped refuses unless all of list are disabled and quiesced. The group checks it again with the change itself.
func (a *API) checkStopped(list []fsm.Subject) error {
	if len(list) == 0 {
		return nil
	}
	by := phases(a.opt.State.Operating())
	for _, s := range list {
		if p, known := by[s]; known && p != fsm.PhaseStopped {
			return refused(fsm.Result{Code: fsm.CodeInvalid, Message: fmt.Sprintf("%s of cluster %s is %s", s.Name(), s.Cluster, adminState(p))})
		}
	}
	return nil
}

// adminState is the word for a phase.
func adminState(p fsm.Phase) string {
	switch p {
	case fsm.PhaseServing:
		return wire.AdminEnabled
	case fsm.PhaseQuiescing:
		return wire.AdminQuiescing
	}
	return wire.AdminStopped
}

func wireSubject(s fsm.Subject) wire.Subject {
	return wire.Subject{Cluster: s.Cluster, Instance: s.Instance, Host: s.Host, ContextRoot: s.ContextRoot}
}

func wireSubjects(list []fsm.Subject) []wire.Subject {
	out := make([]wire.Subject, len(list))
	for i, s := range list {
		out[i] = wireSubject(s)
	}
	return out
}
