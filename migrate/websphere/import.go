package websphere

import (
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/migrate/build"
	"github.com/holdfast-lb/holdfast/migrate/markup"
	"github.com/holdfast-lb/holdfast/migrate/report"
)

// The defaults of the plug-in, in its units.
const (
	defaultRefreshSeconds = 60
	defaultWeight         = 2 // WebSphere writes 2, Liberty 20; both mean "as much as the others"
	defaultRetrySeconds   = 60
	defaultBufferKB       = 64
	defaultCookie         = "JSESSIONID"
)

// Options say how a file is read.
type Options struct {
	// File is the name for the report.
	File string
	// Lenient accepts attribute values without quotes.
	Lenient bool
	// Listener is the address of the listener web; "": build.DefaultListener.
	Listener string
}

// Import reads a file.
func Import(data []byte, opt Options) *build.Result {
	res := &build.Result{Report: &report.Report{Format: "websphere"}}
	doc, err := markup.Parse(data, markup.Options{Root: "Config", Lenient: opt.Lenient})
	if err != nil {
		res.Report.Entries = append(res.Report.Entries, err.(*markup.Error).Entry(opt.File))
		return res
	}
	if d := doc.Doctype; d != nil {
		d.Mark.Ignore("the definition is never fetched")
	}
	in := importer{
		res: res, out: build.Empty(opt.Listener), refresh: defaultRefreshSeconds,
		uris: map[string]*markup.Node{}, hosts: map[string]*markup.Node{}, routed: map[*markup.Node]bool{}, made: map[moduleID]bool{},
	}
	in.root(doc.Root)
	done := build.Finish(in.out, doc.Marks(), &doc.Root.Mark)
	res.Report.Entries = doc.Report(opt.File)
	if !res.Report.Failed() {
		res.Config, res.Poll = done, time.Duration(in.refresh)*time.Second
	}
	return res
}

// importer fills in out from one file.
type importer struct {
	res     *build.Result
	out     *config.Config
	refresh int
	// uris and hosts are the groups by name, routed those that a Route has used already.
	uris, hosts map[string]*markup.Node
	routed      map[*markup.Node]bool
	made        map[moduleID]bool
}

// ignoredParts are elements of which nothing is taken over, with the reason.
var ignoredParts = map[string]string{
	"Log":                   "Holdfast has a log of its own: --log-level, --access-log",
	"Property":              "a setting of the plug-in itself (its cache for ESI, its directories, its key store)",
	"RequestMetrics":        "figures are always collected: see /metrics",
	"TrustedProxyGroup":     "Holdfast writes X-Forwarded-For of its own and believes nobody else's",
	"IntelligentManagement": "instances register themselves with Holdfast: see registration",
}

// ignoredConfig are the attributes of Config of which nothing is taken over.
var ignoredConfig = map[string]string{
	"ASDisableNagle": "Holdfast never delays small packets", "IISDisableNagle": "Holdfast never delays small packets",
	"AppServerPortPreference": "Holdfast passes the client's Host on, from which instances make redirects",
	"ResponseChunkSize":       "answers are streamed",
	"AcceptAllContent":        "bodies are passed on with any method",
	"ChunkedResponse":         "answers are streamed",
	"TrustedProxyEnable":      "Holdfast writes X-Forwarded-For of its own and believes nobody else's",
	"FIPSEnable":              "a setting of the plug-in's own TLS", "SSLConsolidate": "a setting of the plug-in's own TLS", "SSLConsolidatedConfig": "a setting of the plug-in's own TLS",
	"SSLPKCSDriver": "a setting of the plug-in's own TLS", "SSLPKCSPassword": "a setting of the plug-in's own TLS", "StrictSecurity": "a setting of the plug-in's own TLS",
	"UseInsecure": "a setting of the plug-in's own TLS", "KillWebServerStartUpOnParseErr": "a faulty file never stops Holdfast",
	"IISPluginPriority": "a setting of the web server", "ConfigHash": "written by the tool that made the file",
	"AutoAdjustMessageBuffer": "answers are streamed", "HTTPMaxHeaders": "Holdfast has a bound of its own", "MarkBusyDown": "see responseTimeout",
	"OS400ConvertQueryStringToJobCCSID": "a setting of the web server", "UserSpecifiedPolicyOrder": "the longest context root wins",
}

func (in *importer) root(n *markup.Node) {
	n.Mark.Map("clusters")
	noText(n)
	for _, a := range n.Attrs {
		why, known := ignoredConfig[a.Name]
		switch {
		case markup.IsNamespace(a.Name):
			a.Mark.Ignore("an XML namespace; names are read as they stand")
		case known:
			a.Secret = a.Name == "SSLPKCSPassword"
			a.Mark.Ignore("%s", why)
		case a.Name == "RefreshInterval":
			in.refresh = number(a, defaultRefreshSeconds, 0, build.MaxSeconds, "the interval of --watch")
		case a.Name == "IgnoreDNSFailures":
			a.Mark.Approximate("", "names are looked up again and again; an instance whose name is unknown is unavailable until it is known")
		case a.Name == "VHostMatchingCompat":
			a.Mark.Approximate("", "hosts are matched without their port")
		}
	}
	for _, e := range n.Children {
		if why, known := ignoredParts[e.Name]; known {
			hideSecrets(e)
			e.IgnoreAll("%s", why)
		}
	}
	in.groups(n, "VirtualHostGroup", in.hosts)
	in.groups(n, "UriGroup", in.uris)
	for _, e := range n.All("ServerCluster") {
		in.cluster(e, len(in.out.Clusters))
	}
	for i, e := range n.All("Route") {
		if i == maxRoutes {
			e.Mark.Fail("the file has more than %d routes", maxRoutes)
			break
		}
		in.route(e)
	}
	in.leftovers()
}

// groups finds the named groups of one kind.
func (in *importer) groups(n *markup.Node, kind string, byName map[string]*markup.Node) {
	for _, e := range n.All(kind) {
		noText(e)
		e.Mark.Map("clusters[*].modules")
		a := required(e, "Name")
		if a == nil {
			continue
		}
		a.Mark.Map("clusters[*].modules")
		if other := byName[a.Value]; other != nil {
			a.Mark.Fail("there is another %s of this name in line %d; rename one of them", kind, other.Line)
			continue
		}
		byName[a.Value] = e
	}
}

// leftovers says of groups that no Route uses that nothing comes of them.
func (in *importer) leftovers() {
	for _, byName := range []map[string]*markup.Node{in.hosts, in.uris} {
		for _, e := range byName {
			if in.routed[e] {
				continue
			}
			for _, c := range e.Children {
				if c.Name == "Uri" || c.Name == "VirtualHost" {
					c.IgnoreAll("no Route uses the group")
				}
			}
		}
	}
}

// hideSecrets keeps passwords out of the report.
func hideSecrets(n *markup.Node) {
	name := n.Attr("Name")
	for _, a := range n.Attrs {
		a.Secret = secret(a.Name) || a.Name == "Value" && name != nil && secret(name.Value)
	}
	for _, c := range n.Children {
		hideSecrets(c)
	}
}
