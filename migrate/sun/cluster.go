package sun

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/migrate/build"
	"github.com/holdfast-lb/holdfast/migrate/markup"
	"github.com/holdfast-lb/holdfast/migrate/report"
)

func clip(s string) string { return report.Clip(s) }

// cluster reads the element into clusters[i].
func (in *importer) cluster(n *markup.Node, i int) {
	key := fmt.Sprintf("clusters[%d]", i)
	n.Mark.Map("%s", key)
	noText(n)
	c := build.Cluster("")
	if a := required(n, "name"); a != nil {
		c.Name = a.Value
		a.Mark.Map("%s.name", key)
	}
	in.policy(n, &c, key)
	in.common(&c)
	in.checker(n, &c, key+".health")
	weights := make([]*markup.Attr, 0, 8)
	for _, e := range n.All("instance") {
		inst, weight := in.instance(e, fmt.Sprintf("%s.instances[%d]", key, len(c.Instances)))
		c.Instances, weights = append(c.Instances, inst), append(weights, weight)
	}
	in.weigh(&c, weights)
	for _, e := range n.All("web-module") {
		c.Modules = append(c.Modules, in.module(e, fmt.Sprintf("%s.modules[%d]", key, len(c.Modules))))
	}
	in.out.Clusters = append(in.out.Clusters, c)
}

func (in *importer) policy(n *markup.Node, c *config.Cluster, key string) {
	lib := n.Attr("policy-module")
	if lib != nil && lib.Value == "" {
		lib.Mark.Ignore("empty")
	}
	a := n.Attr("policy")
	switch {
	case a == nil || a.Value == "round-robin" || a.Value == "weighted-round-robin":
		if a != nil {
			c.Policy = a.Value
			a.Mark.Map("%s.policy", key)
		}
		if lib != nil {
			lib.Mark.Ignore("only policy user-defined uses it")
		}
	case a.Value == "user-defined" && in.opt.PolicyFallback != "":
		c.Policy = in.opt.PolicyFallback
		a.Mark.Approximate(key+".policy", "the library that decides cannot be run; %s is taken instead", in.opt.PolicyFallback)
		if lib != nil {
			lib.Mark.Ignore("a shared library cannot be run")
		}
	case a.Value == "user-defined":
		a.Mark.Fail("user-defined is a shared library, which cannot be run; name what to do instead with --policy-fallback round-robin")
		if lib != nil {
			lib.Mark.Ignore("a shared library cannot be run")
		}
	default:
		a.Mark.Fail("%q is no policy; write round-robin, weighted-round-robin or user-defined", clip(a.Value))
		if lib != nil {
			lib.Mark.Ignore("only policy user-defined uses it")
		}
	}
}

// common takes over what the file says for all clusters.
func (in *importer) common(c *config.Cluster) {
	s := &in.settings
	c.QuiesceTimeout = build.Minutes(defaultDisableMinutes)
	c.Affinity.Names, c.Affinity.Routes = []string{"JSESSIONID"}, []string{"JROUTE"}
	c.ResponseTimeout = build.Seconds(s.response)
	c.Health.Passive = []string{"connect"}
	if s.response > 0 { // 0: an instance that does not answer is not looked at (SUN-90)
		c.Health.Passive = append(c.Health.Passive, "timeout")
	}
	c.Health.Fall, c.Health.Rise = s.retries, 1
	c.Health.Mode = "recover-only" // SUN-89
	if s.active {
		c.Health.Mode = "active"
	}
	c.Health.Type, c.Health.Expect = "http", defaultHealthyStatus
}

func (in *importer) checker(n *markup.Node, c *config.Cluster, key string) {
	h := &c.Health
	h.Path, h.Interval, h.Timeout = "/", build.Seconds(defaultIntervalSeconds), build.Seconds(defaultTimeoutSeconds)
	checkers := n.All("health-checker")
	if len(checkers) == 0 {
		in.res.Report.Note("cluster %q has no health-checker: instances that are unavailable are checked as by one with the defaults, or they would never come back", clip(c.Name))
	}
	for i, e := range checkers {
		if i > 0 { // SUN-16
			e.IgnoreAll("belongs to a second health-checker")
			e.Mark.Fail("a cluster has one health-checker, the first is in line %d; keep one of them", checkers[0].Line)
			continue
		}
		e.Mark.Map("%s", key)
		noText(e)
		if a := e.Attr("url"); a != nil {
			h.Path = a.Value
			a.Mark.Map("%s.path", key)
			if !strings.HasPrefix(a.Value, "/") && !strings.Contains(a.Value, "://") {
				h.Path = "/" + a.Value
				a.Mark.Approximate(key+".path", "it is appended to the listener URL with a / in front")
			}
		}
		h.Interval = build.Seconds(number(e.Attr("interval-in-seconds"), defaultIntervalSeconds, 1, 24*3600, key+".interval"))
		h.Timeout = build.Seconds(number(either(e, "timeout-in-seconds", "time-out-in-seconds"), defaultTimeoutSeconds, 1, 3600, key+".timeout"))
	}
	h.RetryInterval = min(h.Interval, build.Seconds(3600))
}

func (in *importer) instance(n *markup.Node, key string) (config.Instance, *markup.Attr) {
	n.Mark.Map("%s", key)
	noText(n)
	inst := build.Instance("")
	if a := required(n, "name"); a != nil {
		inst.Name, inst.Route = a.Value, a.Value
		a.Mark.Map("%s.name", key)
	}
	inst.Enabled = boolean(n.Attr("enabled"), true, key+".enabled")
	inst.QuiesceTimeout = quiesce(n, key+".quiesceTimeout")
	if a := required(n, "listeners"); a != nil {
		for _, url := range strings.Fields(a.Value) {
			inst.Listeners = append(inst.Listeners, withPort(url))
		}
		a.Mark.Map("%s.listeners", key)
		inst.Listeners = in.route(inst.Listeners, &a.Mark, key+".listeners")
	}
	weight := n.Attr("weight")
	inst.Weight = number(weight, defaultWeight, 0, 1<<30, key+".weight")
	return inst, weight
}

// withPort writes out the port that a URL leaves to its scheme.
func withPort(url string) string {
	scheme, rest, ok := strings.Cut(url, "://")
	port := map[string]string{"http": ":80", "https": ":443"}[strings.ToLower(scheme)]
	host, slash := strings.CutSuffix(rest, "/")
	if !ok || port == "" || host == "" || strings.LastIndexByte(host, ':') > strings.LastIndexByte(host, ']') {
		return url
	}
	if slash {
		port += "/"
	}
	return scheme + "://" + host + port
}

func (in *importer) weigh(c *config.Cluster, attrs []*markup.Attr) {
	weights := make([]int, len(c.Instances))
	for i := range c.Instances {
		weights[i] = c.Instances[i].Weight
	}
	scaled, exact := build.Weights(weights)
	for i := range c.Instances {
		c.Instances[i].Weight = scaled[i]
		if !exact && attrs[i] != nil {
			attrs[i].Mark.Approximate(attrs[i].Mark.Key(), "brought into 0 to 1000, with the ratios to the others nearly kept")
		}
	}
	given := slices.ContainsFunc(attrs, func(a *markup.Attr) bool { return a != nil })
	if given && !slices.Equal(scaled, weights) {
		in.res.Report.Note("cluster %q: weights are divided by what they have in common (an instance without one has %d)", clip(c.Name), defaultWeight)
	}
}
