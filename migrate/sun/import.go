package sun

import (
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/migrate/build"
	"github.com/holdfast-lb/holdfast/migrate/markup"
	"github.com/holdfast-lb/holdfast/migrate/report"
)

// The defaults of the definition, in its units.
const (
	defaultDisableMinutes  = 31 // SUN-19, SUN-39; one more than the usual idle time (SUN-20)
	defaultWeight          = 100
	defaultIntervalSeconds = 30        // SUN-12
	defaultTimeoutSeconds  = 10        // SUN-13
	defaultHealthyStatus   = "100-500" // SUN-11
	defaultResponseSeconds = 60
	defaultReloadSeconds   = 60
	defaultHealthRetries   = 3
)

// Options say how a file is read.
type Options struct {
	// File is the name for the report.
	File string
	// Lenient accepts attribute values without quotes (SUN-15).
	Lenient bool
	// PolicyFallback is the policy in place of user-defined, which is a shared library that cannot be run; "": that is an error.
	PolicyFallback string
	// Cluster is the name of the cluster of an instance list; "": DefaultCluster.
	Cluster string
	// Listener is the address of the listener web; "": build.DefaultListener.
	Listener string
}

// Import reads a file: loadbalancer.xml, or clinstance.conf, the list of instances of cladmin.
func Import(data []byte, opt Options) *build.Result {
	if isInstanceList(data) {
		return importInstances(data, opt)
	}
	res := &build.Result{Report: &report.Report{Format: "sun"}}
	doc, err := markup.Parse(data, markup.Options{Root: "loadbalancer", Lenient: opt.Lenient})
	if err != nil {
		res.Report.Entries = append(res.Report.Entries, err.(*markup.Error).Entry(opt.File))
		return res
	}
	in := importer{opt: opt, res: res, settings: defaultSettings(), out: build.Empty(opt.Listener)}
	in.doctype(doc.Doctype)
	in.root(doc.Root)
	done := build.Finish(in.out, doc.Marks(), &doc.Root.Mark)
	res.Report.Entries = doc.Report(opt.File)
	if !res.Report.Failed() {
		res.Config, res.Poll = done, time.Duration(in.settings.reload)*time.Second
	}
	return res
}

// importer fills in out from one file.
type importer struct {
	opt      Options
	res      *build.Result
	settings settings
	out      *config.Config
}

func (in *importer) doctype(d *markup.Doctype) {
	switch {
	case d == nil:
	case d.SystemID == "" && d.PublicID == "":
		d.Mark.Ignore("names no definition")
	default:
		d.Mark.Ignore("the definition is never fetched; files of sun-loadbalancer_1_0.dtd, 1_1 and 1_2 are read alike")
	}
}

func (in *importer) root(n *markup.Node) {
	n.Mark.Map("clusters")
	noText(n)
	if a := n.Attr("name"); a != nil {
		a.Mark.Ignore("a label; the group has its own name")
	}
	for _, a := range n.Attrs {
		if markup.IsNamespace(a.Name) {
			a.Mark.Ignore("an XML namespace; names are read as they stand")
		}
	}
	for _, p := range n.All("property") {
		in.property(p)
	}
	for _, c := range n.All("cluster") {
		in.cluster(c, len(in.out.Clusters))
	}
	if len(in.out.Clusters) > 0 { // SUN-11
		in.res.Report.Note("health.expect is %q, as the format has it: 404 and 500 count as healthy; \"200-399\" is stricter", defaultHealthyStatus)
	}
}

// noText refuses character data where the definition has none.
func noText(n *markup.Node) {
	if n.Text != "" {
		n.Mark.Fail("there is text in it: %q in line %d, column %d; the definition has only elements here", report.Clip(n.Text), n.TextLine, n.TextColumn)
	}
}

// required gives the attribute, or fails the element.
func required(n *markup.Node, name string) *markup.Attr {
	a := n.Attr(name)
	if a == nil {
		n.Mark.Fail("the attribute %s is missing", name)
	}
	return a
}

// either gives the attribute that has two spellings, and fails the second when both are there.
func either(n *markup.Node, one, other string) *markup.Attr {
	a, b := n.Attr(one), n.Attr(other)
	if a != nil && b != nil {
		b.Mark.Fail("%s and %s are two spellings of one attribute; keep one of them", one, other)
		return a
	}
	if a == nil {
		return b
	}
	return a
}

// number reads an attribute into key; def is for one that is not there or wrong.
func number(a *markup.Attr, def, low, high int, key string) int {
	if a == nil {
		return def
	}
	v, ok := build.Int(a.Value, &a.Mark, low, high)
	if !ok {
		return def
	}
	a.Mark.Map("%s", key)
	return v
}

func boolean(a *markup.Attr, def bool, key string) bool {
	if a == nil {
		return def
	}
	v, ok := build.Bool(a.Value, &a.Mark)
	if !ok {
		return def
	}
	a.Mark.Map("%s", key)
	return v
}

// quiesce reads disable-timeout-in-minutes.
func quiesce(n *markup.Node, key string) config.Duration {
	a := n.Attr("disable-timeout-in-minutes")
	minutes := number(a, defaultDisableMinutes, 0, build.MaxMinutes, key)
	if minutes == 0 {
		a.Mark.Approximate(key, "the shortest time is 1s")
		return build.Seconds(1)
	}
	return build.Minutes(minutes)
}
