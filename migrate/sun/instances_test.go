package sun

import (
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/migrate/golden"
	"github.com/holdfast-lb/holdfast/migrate/report"
)

func TestInstanceList(t *testing.T) { // SUN-34
	res := golden.Good(t, Import(read(t, "clinstance.conf"), Options{File: "clinstance.conf", Cluster: "shop"}))
	golden.Once(t, res.Report, golden.Properties(string(read(t, "clinstance.conf"))))
	c := res.Config.Clusters[0]
	if c.Name != "shop" || len(c.Instances) != 2 || c.Instances[0].Name != "server1" || c.Instances[0].Listeners[0] != "http://www1.example.com:80" ||
		c.Instances[1].Listeners[0] != "http://www2.example.com:8081" || c.Modules[0].ContextRoot != "/" {
		t.Errorf("cluster %+v", c)
	}
	for text, want := range map[string]string{
		"instancename a\nhost h":                                    "needs host and instanceport",
		"host h\ninstancename a":                                    "before the first",
		"instancename a\nhost h\nhost i\ninstanceport 1":            "twice",
		"instancename a\nhost h\ninstanceport 0":                    "out of range",
		"instancename a\nhost h\ninstanceport 1\ncolour red":        "unknown",
		"instancename ../a\nhost h\ninstanceport 1":                 "cannot be the name",
		"instancename a\nhost h\x00\ninstanceport 1":                "control characters",
		"colour instancename":                                       "before the first",
		"# instancename":                                            "no instance",
		strings.Repeat("instancename a\n", 200_000):                 "more than 100000",
		"instancename a\nhost h/../x\ninstanceport 1":               "path",
		"instancename a\nhost h\ninstanceport 99999999999999999999": "out of range",
	} {
		res := Import([]byte(text), Options{})
		found := false
		for _, e := range res.Report.Entries {
			found = found || e.Status == report.Error && e.Line > 0 && e.Column > 0 && strings.Contains(e.Why, want)
		}
		if res.Config != nil || !found {
			t.Errorf("%.60q: no error with %q", text, want)
		}
	}
}
