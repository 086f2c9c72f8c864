package sun

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/migrate"
	"github.com/holdfast-lb/holdfast/migrate/report"
)

// header names the definition as the application server's own export does; it is never fetched.
const header = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE loadbalancer PUBLIC "-//Sun Microsystems Inc.//DTD Sun Java System Application Server 9.1//EN" "sun-loadbalancer_1_2.dtd">
`

// Export writes a configuration as loadbalancer.xml. The report lists what the format cannot say: it is what is different when the file is imported
// again. Importing gives c itself when the report has no entry, but for the listeners of the group, which the format does not have.
func Export(c *config.Config) ([]byte, *report.Report, error) {
	w := writer{}
	w.b.WriteString(header)
	w.open("loadbalancer")
	for i := range c.Clusters {
		w.cluster(&c.Clusters[i])
	}
	w.properties(c)
	w.close("loadbalancer")
	rep := &report.Report{Format: "sun", Entries: []report.Entry{}}
	again := Import(w.b.Bytes(), Options{File: "export"})
	if again.Config == nil {
		for _, e := range again.Report.Entries {
			if e.Status == report.Error {
				return nil, nil, fmt.Errorf("export loadbalancer.xml: %s %s: %s", e.What, e.Value, e.Why)
			}
		}
		return nil, nil, fmt.Errorf("export loadbalancer.xml: what was written cannot be read again")
	}
	if len(c.Listeners) > 0 {
		rep.Note("the format has no listeners of the balancer: give --listener when you import the file")
	}
	back := again.Config.Clone()
	back.Listeners = c.Listeners
	for _, ch := range migrate.Changes(c, back) {
		e := report.Entry{What: ch.Path, Value: report.Clip(ch.From), Status: report.Ignored, Why: "the format cannot say it"}
		if ch.To != "" {
			e.Status, e.Why = report.Approximated, "the format says "+report.Clip(ch.To)
		}
		rep.Entries = append(rep.Entries, e)
	}
	return w.b.Bytes(), rep, nil
}

type writer struct {
	b      bytes.Buffer
	indent int
}

// open begins an element; attrs are names and values in turn.
func (w *writer) open(name string, attrs ...string) {
	w.tag(name, attrs)
	w.b.WriteString(">\n")
	w.indent++
}

func (w *writer) close(name string) {
	w.indent--
	fmt.Fprintf(&w.b, "%s</%s>\n", strings.Repeat("  ", w.indent), name)
}

func (w *writer) empty(name string, attrs ...string) {
	w.tag(name, attrs)
	w.b.WriteString("/>\n")
}

func (w *writer) tag(name string, attrs []string) {
	w.b.WriteString(strings.Repeat("  ", w.indent) + "<" + name)
	for i := 0; i+1 < len(attrs); i += 2 {
		w.b.WriteString(" " + attrs[i] + `="`)
		_ = xml.EscapeText(&w.b, []byte(attrs[i+1])) // a buffer takes everything
		w.b.WriteByte('"')
	}
}

func (w *writer) cluster(c *config.Cluster) {
	policy := "round-robin"
	if c.Policy == "weighted-round-robin" {
		policy = c.Policy
	}
	w.open("cluster", "name", c.Name, "policy", policy, "policy-module", "")
	for i := range c.Instances {
		in := &c.Instances[i]
		w.empty("instance", "name", in.Name, "enabled", strconv.FormatBool(in.Enabled), "disable-timeout-in-minutes", minutes(in.QuiesceTimeout),
			"listeners", strings.Join(in.Listeners, " "), "weight", strconv.Itoa(in.Weight))
	}
	roots := map[string]bool{}
	for i := range c.Modules {
		if m := &c.Modules[i]; !roots[m.ContextRoot] { // the format knows no hosts
			roots[m.ContextRoot] = true
			w.module(m)
		}
	}
	w.empty("health-checker", "url", c.Health.Path, "interval-in-seconds", seconds(c.Health.Interval), "timeout-in-seconds", seconds(c.Health.Timeout))
	w.close("cluster")
}

func (w *writer) module(m *config.Module) {
	attrs := []string{"context-root", m.ContextRoot, "enabled", strconv.FormatBool(m.Enabled), "disable-timeout-in-minutes", minutes(m.QuiesceTimeout), "error-url", ""}
	if len(m.Idempotent) == 0 {
		w.empty("web-module", attrs...)
		return
	}
	w.open("web-module", attrs...)
	for _, p := range m.Idempotent {
		w.empty("idempotent-url-pattern", "url-pattern", p.Pattern, "no-of-retries", strconv.Itoa(p.Retries))
	}
	w.close("web-module")
}

// properties are those of the whole file: the first cluster says what they are.
func (w *writer) properties(c *config.Config) {
	response, active, retries := config.Duration(defaultResponseSeconds*time.Second), false, defaultHealthRetries
	if len(c.Clusters) > 0 {
		k := &c.Clusters[0]
		response, active, retries = k.ResponseTimeout, k.Health.Mode == "active", k.Health.Fall
	}
	for _, p := range [][2]string{
		{"response-timeout-in-seconds", secondsOrNone(response)},
		{"reload-poll-interval-in-seconds", strconv.Itoa(defaultReloadSeconds)},
		{"https-routing", "true"},
		{"require-monitor-data", "false"},
		{"active-healthcheck-enabled", strconv.FormatBool(active)},
		{"number-healthcheck-retries", strconv.Itoa(retries)},
		{"rewrite-location", "true"},
		{"rewrite-cookies", "false"},
		{"preferred-failover-instance", "true"},
		{"route-cookie-enabled", "true"},
	} {
		w.empty("property", "name", p[0], "value", p[1])
	}
}

// minutes rounds up: a quiesce that ends too early moves sessions.
func minutes(d config.Duration) string {
	return strconv.FormatInt(int64((time.Duration(d)+time.Minute-1)/time.Minute), 10)
}

func seconds(d config.Duration) string {
	return strconv.FormatInt(max(1, int64((time.Duration(d)+time.Second-1)/time.Second)), 10)
}

func secondsOrNone(d config.Duration) string {
	if d == 0 {
		return "0"
	}
	return seconds(d)
}
