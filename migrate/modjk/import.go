package modjk

import (
	"fmt"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/migrate/build"
	"github.com/holdfast-lb/holdfast/migrate/report"
)

// DefaultPoll is how often mod_jk looks whether uriworkermap.properties has changed (JkMountFileReload).
const DefaultPoll = 60 * time.Second

// Options say how the files are read.
type Options struct {
	// Workers and URIMap are the names for the report.
	Workers, URIMap string
	// HTTPPort is the HTTP port of every worker, HTTPPorts that of single ones by name; 0 and none: unknown.
	HTTPPort  int
	HTTPPorts map[string]int
	// Env finds variables of the environment; nil: there are none.
	Env func(string) (string, bool)
	// Listener is the address of the listener web; "": build.DefaultListener.
	Listener string
}

// Import reads workers.properties and, when uriMap is not nil, uriworkermap.properties.
func Import(workers, uriMap []byte, opt Options) *build.Result {
	in := importer{opt: opt, out: build.Empty(opt.Listener), byWorker: map[string]int{}, made: map[moduleID]bool{}, res: &build.Result{Report: &report.Report{Format: "modjk"}}}
	in.f = readWorkers(opt.Workers, workers, opt.Env)
	in.clusters()
	if uriMap != nil {
		in.rules = readLines(opt.URIMap, uriMap)
		in.uriMap()
	}
	in.mounted(uriMap != nil)
	in.leftovers()
	lines := append(append([]*line{}, in.f.lines...), in.rules...)
	marks := make([]*report.Mark, len(lines))
	for i, l := range lines {
		marks[i] = &l.mark
	}
	rest := line{file: opt.Workers, key: "file", line: 1, column: 1}
	done := build.Finish(in.out, marks, &rest.mark)
	if rest.mark.Failed() {
		in.res.Report.Entries = append(in.res.Report.Entries, rest.entry())
	}
	for _, l := range lines {
		in.res.Report.Entries = append(in.res.Report.Entries, l.entry())
	}
	if !in.res.Report.Failed() {
		in.res.Config, in.res.Poll = done, DefaultPoll
	}
	return in.res
}

// importer fills in out from the files.
type importer struct {
	opt   Options
	res   *build.Result
	f     *file
	rules []*line // of the URI map
	out   *config.Config
	// byWorker finds clusters by the worker that they come from.
	byWorker map[string]int
	made     map[moduleID]bool
}

func (in *importer) clusters() {
	names, from := words(in.f.list)
	if len(in.f.list) == 0 {
		names = []string{"ajp13"} // what mod_jk takes
	}
	seen := map[string]bool{}
	for i, name := range names {
		var at *line
		if from != nil {
			at = from[i]
			at.mark.Map("clusters")
		}
		w := in.f.workers[name]
		switch {
		case w == nil && at == nil:
			in.missing("there is no worker.list, and so only the worker ajp13, which is not there")
			continue
		case w == nil:
			at.mark.Fail("there is no worker %q", report.Clip(name))
			continue
		case seen[name]:
			continue
		}
		seen[name], w.used = true, true
		in.top(w)
	}
}

// missing reports what has no line: it goes to the first one.
func (in *importer) missing(format string, args ...any) {
	if len(in.f.lines) == 0 {
		in.f.lines = append(in.f.lines, &line{file: in.opt.Workers, key: "file", line: 1, column: 1})
	}
	in.f.lines[0].mark.Fail(format, args...)
}

// top makes a cluster of a worker of worker.list.
func (in *importer) top(w *worker) {
	kind, ok := in.f.kindOf(w)
	if !ok {
		return
	}
	i := len(in.out.Clusters)
	key := fmt.Sprintf("clusters[%d]", i)
	c := build.Cluster(w.name)
	// mod_jk tries a worker in error with a client's request after recover_time; a connection is enough to see whether it is back.
	c.Health.Type, c.Health.Mode, c.Health.Passive = "tcp", "recover-only", []string{"connect"}
	c.Health.RetryInterval = build.Seconds(60)
	c.ResponseTimeout = 0
	c.Policy = "weighted-round-robin"
	switch kind {
	case "status":
		for _, lines := range in.f.resolve(w) {
			for _, l := range lines {
				l.mark.Ignore(statusWhy)
			}
		}
		return
	case "lb":
		in.balancer(w, &c, key)
	default:
		c.Affinity.Type, c.Affinity.Name, c.Affinity.Names, c.Affinity.Routes = "none", "", nil, nil
		in.members(&c, key, []*worker{w}, nil)
	}
	in.byWorker[w.name] = i
	in.out.Clusters = append(in.out.Clusters, c)
	in.mounts(w, i)
}

// leftovers says of what nobody has looked at why.
func (in *importer) leftovers() {
	for _, w := range in.f.workers {
		for name, lines := range w.own {
			for _, l := range lines {
				switch why := directives[name]; {
				case why != "":
					l.mark.Ignore("%s", why)
				case !w.used:
					l.mark.Ignore("no worker of worker.list uses it")
				default:
					l.mark.Ignore("has no meaning for what this worker is used as")
				}
			}
		}
	}
}
