package websphere

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/migrate/report"
)

const minimal = `<Config><ServerCluster Name="c"><Server Name="s" CloneID="c1"><Transport Hostname="h" Port="1"/></Server></ServerCluster><Route ServerCluster="c"/></Config>`

func TestDefaults(t *testing.T) { // WAS-09, WAS-12
	res := Import([]byte(minimal), Options{})
	if res.Config == nil {
		t.Fatal(res.Report.Entries)
	}
	c := res.Config.Clusters[0]
	if res.Poll != 60*time.Second || c.Policy != "weighted-round-robin" || c.Health.RetryInterval != config.Duration(60*time.Second) || c.BodyBuffer != 64<<10 || c.ResponseTimeout != 0 {
		t.Errorf("poll %v, cluster %+v", res.Poll, c)
	}
	if in := c.Instances[0]; in.Weight != 2 || in.Route != "c1" || in.MaxConnections != 0 || in.Listeners[0] != "http://h:1" {
		t.Errorf("instance %+v", in)
	}
	if m := c.Modules; len(m) != 1 || m[0].ContextRoot != "/" || m[0].Host != "" {
		t.Errorf("modules %+v: a Route without groups takes everything", m)
	}
	if c.Affinity.Type != "learn" || !slices.Equal(c.Affinity.Names, []string{"JSESSIONID"}) {
		t.Errorf("affinity %+v", c.Affinity)
	}
}

func TestServerIOTimeout(t *testing.T) {
	for value, want := range map[string]struct {
		timeout time.Duration
		passive string
	}{"0": {0, "connect"}, "60": {time.Minute, "connect"}, "-60": {time.Minute, "connect timeout"}} {
		res := Import([]byte(strings.Replace(minimal, `CloneID="c1"`, `ServerIOTimeout="`+value+`"`, 1)), Options{})
		if res.Config == nil {
			t.Fatal(res.Report.Entries)
		}
		c := res.Config.Clusters[0]
		if c.ResponseTimeout != config.Duration(want.timeout) || strings.Join(c.Health.Passive, " ") != want.passive || c.Affinity.Type != "none" {
			t.Errorf("%s: %v %v %v", value, c.ResponseTimeout, c.Health.Passive, c.Affinity)
		}
	}
}

func TestServersOfNoRole(t *testing.T) {
	res := Import([]byte(strings.Replace(minimal, `</Server><`, `</Server><Server Name="s2"><Transport Hostname="h" Port="2"/></Server><PrimaryServers><Server Name="s"/></PrimaryServers><`, 1)), Options{})
	if res.Config == nil {
		t.Fatal(res.Report.Entries)
	}
	if in := res.Config.Clusters[0].Instances; in[0].Weight != 2 || in[1].Weight != 0 || len(res.Report.Notes) == 0 {
		t.Errorf("instances %+v, notes %v", in, res.Report.Notes)
	}
}

func TestFaults(t *testing.T) {
	for _, tc := range []struct{ old, new, want string }{
		{`Name="c"><Server`, `Name="c" LoadBalance="Magic"><Server`, "Round Robin or Random"},
		{`ServerCluster="c"`, `ServerCluster="d"`, "no ServerCluster"},
		{`ServerCluster="c"`, `ServerCluster="c" UriGroup="u"`, "no UriGroup"},
		{`Port="1"`, `Port="0"`, "out of range"},
		{`Port="1"`, `Port="1" Protocol="ajp"`, "http or https"},
		{` Hostname="h"`, ``, "Hostname is missing"},
		{`CloneID="c1"`, `CloneID=""`, "empty"},
		{`CloneID="c1"`, `CloneId="c1"`, "unknown"},
		{`CloneID="c1"`, `ServerIOTimeout="soon"`, "whole number"},
		{`</Server><`, `</Server><BackupServers><Server Name="x"/></BackupServers><`, "no server"},
		{`</Server><`, `</Server><PrimaryServers><Server Name="s"/></PrimaryServers><BackupServers><Server Name="s"/></BackupServers><`, "primary one already"},
		{`<Config>`, `<Config><UriGroup Name="u"/><UriGroup Name="u"/>`, "another UriGroup"},
		{`<Config>`, `<Config RefreshInterval="-5">`, "out of range"},
		{`<Config>`, `<Config><Strange/>`, "unknown"},
	} {
		text := strings.Replace(minimal, tc.old, tc.new, 1)
		res := Import([]byte(text), Options{})
		found := false
		for _, e := range res.Report.Entries {
			found = found || e.Status == report.Error && strings.Contains(e.Why, tc.want) && e.Line == 1 && e.Column > 0
		}
		if res.Config != nil || !found {
			t.Errorf("%s: %v", text, res.Report.Entries)
		}
	}
}

func FuzzImport(f *testing.F) {
	data, err := os.ReadFile("testdata/plugin-cfg.xml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data, false)
	f.Add([]byte(minimal), true)
	f.Fuzz(func(t *testing.T, data []byte, lenient bool) {
		res := Import(data, Options{File: "f", Lenient: lenient})
		if (res.Config == nil) != res.Report.Failed() {
			t.Fatalf("configuration %v, report %v", res.Config, res.Report.Entries)
		}
		for _, e := range res.Report.Entries {
			if e.Line < 1 || e.Column < 1 || e.Status == "" || e.Status != report.Mapped && e.Why == "" {
				t.Fatalf("entry %+v", e)
			}
		}
		if res.Config != nil && res.Config.Validate() != nil {
			t.Fatal(res.Config.Validate())
		}
	})
}
