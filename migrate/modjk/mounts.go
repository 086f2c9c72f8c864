package modjk

import (
	"fmt"
	"strings"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/migrate/build"
	"github.com/holdfast-lb/holdfast/migrate/report"
)

// maxModules bounds what one file makes.
const maxModules = 5000

// moduleID tells the modules apart.
type moduleID struct {
	cluster int
	root    string
}

// mounts reads worker.NAME.mount, a list of patterns.
func (in *importer) mounts(w *worker, i int) {
	patterns, from := words(in.f.resolve(w)["mount"])
	for n, p := range patterns {
		in.mount(i, p, from[n])
	}
}

// mount adds the module of one pattern to clusters[i].
func (in *importer) mount(i int, pattern string, l *line) {
	c := &in.out.Clusters[i]
	key := fmt.Sprintf("clusters[%d].modules", i)
	for _, p := range both(pattern) {
		root, why, ok := build.ContextRoot(p)
		switch {
		case !ok:
			l.mark.Fail("%q is no URI pattern; write /app/*, /app|/*, *.jsp or /", report.Clip(p))
			return
		case why != "" && p == pattern:
			l.mark.Approximate(key, "%s", why)
		default:
			l.mark.Map("%s", key)
		}
		id := moduleID{i, root}
		if in.made[id] {
			continue
		}
		if len(c.Modules) >= maxModules {
			l.mark.Fail("the cluster would have more than %d modules", maxModules)
			return
		}
		in.made[id] = true
		c.Modules = append(c.Modules, in.module(root, c.Name))
	}
}

// both writes /app|/* out as /app and /app/*.
func both(pattern string) []string {
	head, tail, ok := strings.Cut(pattern, "|")
	if !ok {
		return []string{pattern}
	}
	return []string{head, head + tail}
}

// module makes one with what the balancer says about all of its.
func (in *importer) module(root, balancer string) config.Module {
	m := build.Module(root)
	w := in.f.workers[balancer]
	m.Retries = 1 // lb_retries 2, the first try included
	if l := in.f.one(w, "lb_retries"); l != nil {
		if v, ok := build.Int(l.text, &l.mark, 1, 101); ok {
			m.Retries = v - 1
			l.mark.Map("clusters[*].modules[*].retries")
		}
	}
	if l := in.f.one(w, "sticky_session_force"); l != nil {
		if v, ok := boolean(l); ok {
			l.mark.Map("clusters[*].modules[*].onSessionLost")
			if v {
				m.Replicated, m.OnSessionLost = false, "refuse"
				l.mark.Approximate("clusters[*].modules[*].onSessionLost", "such a request gets 503, not 500")
			}
		}
	}
	return m
}

// uriMap reads uriworkermap.properties: pattern=worker.
func (in *importer) uriMap() {
	for _, l := range in.rules {
		if l.mark.Failed() {
			continue
		}
		pattern := l.key
		switch {
		case strings.HasPrefix(pattern, "!"):
			l.mark.Approximate("", "what a context root takes cannot be excluded again: the request goes to the instances too")
			continue
		case strings.HasPrefix(pattern, "-"):
			l.mark.Ignore("the rule is switched off")
			continue
		}
		name, extension, _ := strings.Cut(l.text, ";")
		name = strings.TrimSpace(name)
		i, ok := in.byWorker[name]
		switch {
		case ok:
		case in.isStatus(name):
			l.mark.Ignore(statusWhy)
			continue
		default:
			l.mark.Fail("there is no worker %q in worker.list", report.Clip(name))
			continue
		}
		if extension != "" {
			l.mark.Approximate(fmt.Sprintf("clusters[%d].modules", i), "what follows the ; is not taken over")
		}
		in.mount(i, pattern, l)
	}
}

func (in *importer) isStatus(name string) bool {
	w := in.f.workers[name]
	if w == nil {
		return false
	}
	kind, ok := in.f.kindOf(w)
	return ok && kind == "status"
}

// mounted gives a lone cluster that nothing leads to everything: JkMount lines are in the web server's own configuration.
func (in *importer) mounted(withMap bool) {
	for i := range in.out.Clusters {
		c := &in.out.Clusters[i]
		switch {
		case len(c.Modules) > 0:
		case len(in.out.Clusters) == 1 && !withMap:
			c.Modules = append(c.Modules, in.module("/", c.Name))
			in.res.Report.Note("cluster %q gets everything (context root /): JkMount lines of the web server are not read; give uriworkermap.properties as the second file to say which URLs lead there", c.Name)
		default:
			in.f.workers[c.Name].first.mark.Fail("no URL leads to worker %s: give uriworkermap.properties as the second file, or worker.%s.mount", c.Name, c.Name)
		}
	}
}
