package build

import (
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/migrate/report"
)

// Result is what an importer gives.
type Result struct {
	// Config is the whole of what the files say, valid and with every default; nil when the report has an error.
	Config *config.Config
	Report *report.Report
	// Poll is how often the original looked whether its file had changed; 0: never.
	Poll time.Duration
}

// DefaultListener is where a group takes traffic when nothing else is said; the old formats leave this to the web server.
const DefaultListener = ":8080"

// Empty is a configuration with the listener web at address ("" means DefaultListener) and no cluster.
func Empty(address string) *config.Config {
	if address == "" {
		address = DefaultListener
	}
	c := config.Empty()
	c.Listeners = append(c.Listeners, config.Listener{Name: "web", Address: address, Protocol: "http", HTTP2: true})
	return c
}

// template has one of each thing with every default of this version.
var template = func() config.Cluster {
	c, err := config.Parse("template", []byte(`{clusters: [{name: c, affinity: {type: learn}, modules: [{contextRoot: /}], instances: [{name: i, listeners: ["http://127.0.0.1:1"]}]}]}`))
	if err != nil {
		panic("BUG: the template of a cluster is not valid: " + err.Error())
	}
	return c.Clusters[0]
}()

// Cluster gives an empty cluster with the defaults and affinity of type learn, which also heeds JROUTE.
func Cluster(name string) config.Cluster {
	c := (&config.Config{Clusters: []config.Cluster{template}}).Clone().Clusters[0]
	c.Affinity.Routes = []string{"JROUTE"}
	c.Name, c.Modules, c.Instances = name, []config.Module{}, []config.Instance{}
	return c
}

// Module gives an enabled module with the defaults.
func Module(contextRoot string) config.Module {
	m := template.Modules[0]
	m.ContextRoot = contextRoot
	return m
}

// Instance gives an enabled instance of weight 1 with the defaults and no listener.
func Instance(name string) config.Instance {
	in := template.Instances[0]
	in.Name, in.Route, in.Listeners = name, name, []string{}
	return in
}

// Finish gives c in the one spelling that the group keeps, or every fault. A fault goes to the mark whose key is the longest beginning of the fault's
// path, and to rest when there is none.
func Finish(c *config.Config, marks []*report.Mark, rest *report.Mark) *config.Config {
	done, err := config.Parse("", c.Canonical())
	if err == nil {
		return done
	}
	if plain := c.Validate(); plain != nil {
		err = plain // it names paths, where Parse names lines of the canonical text
	}
	faults, ok := err.(config.Errors)
	if !ok {
		rest.Fail("%v", err)
		return nil
	}
	for _, f := range faults {
		text := f.Message
		if f.Hint != "" {
			text += " - " + f.Hint
		}
		best := rest
		length := 0
		for _, m := range marks {
			if key := m.Key(); len(key) > length && leads(key, f.Path) {
				best, length = m, len(key)
			}
		}
		best.Fail("%s", text)
	}
	return nil
}

// leads tells whether the value at key is, or contains, the one at path; * in a key stands for every index.
func leads(key, path string) bool {
	for key != "" {
		c := key[0]
		key = key[1:]
		switch {
		case path == "":
			return false
		case c == '*' && path[0] >= '0' && path[0] <= '9':
			path = strings.TrimLeft(path, "0123456789")
		case c != path[0]:
			return false
		default:
			path = path[1:]
		}
	}
	return path == "" || path[0] == '.' || path[0] == '['
}
