package sun

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/migrate/golden"
	"github.com/holdfast-lb/holdfast/migrate/report"
)

func d(t time.Duration) config.Duration { return config.Duration(t) }

func TestHealthURLOfTheDocument(t *testing.T) { // SUN-09
	c := good(t, "sun09.xml").Config.Clusters[0]
	url, err := config.HealthURL(c.Instances[0].Listeners[0], c.Health.Path)
	if err != nil || url != "http://www.example.com:80/fortune" {
		t.Errorf("%q, %v", url, err)
	}
	if c.Health.Interval != d(30*time.Second) || c.Health.Timeout != d(10*time.Second) || c.Health.Expect != "100-500" { // SUN-11, SUN-12, SUN-13
		t.Errorf("health %+v", c.Health)
	}
	if c.Health.Mode != "recover-only" || c.Health.Fall != 3 || c.Health.RetryInterval != c.Health.Interval { // SUN-89
		t.Errorf("health %+v", c.Health)
	}
	in := c.Instances[0]
	if in.Name != "instance1" || !in.Enabled || in.QuiesceTimeout != d(31*time.Minute) || in.Weight != 1 { // SUN-17, SUN-18, SUN-19
		t.Errorf("instance %+v", in)
	}
	if in.QuiesceTimeout-c.Affinity.IdleTimeout != d(time.Minute) { // SUN-20
		t.Errorf("quiesce %v, idle %v", in.QuiesceTimeout, c.Affinity.IdleTimeout)
	}
	m := c.Modules[0]
	if m.ContextRoot != "/fortune" || !m.Enabled || m.QuiesceTimeout != d(31*time.Minute) { // SUN-35, SUN-37, SUN-38, SUN-39
		t.Errorf("module %+v", m)
	}
	if c.ResponseTimeout != d(60*time.Second) || !slices.Equal(c.Health.Passive, []string{"connect", "timeout"}) { // SUN-90
		t.Errorf("responseTimeout %v, passive %v", c.ResponseTimeout, c.Health.Passive)
	}
	if a := c.Affinity; a.Type != "learn" || !slices.Equal(a.Names, []string{"JSESSIONID"}) || !slices.Equal(a.Routes, []string{"JROUTE"}) || in.Route != "instance1" {
		t.Errorf("affinity %+v", a)
	}
}

func TestExample1(t *testing.T) { // SUN-15, SUN-14
	c := good(t, "sun15.xml").Config.Clusters[0]
	if c.Name != "mycluster1" || c.Health.Path != "/" || c.Health.Interval != d(10*time.Second) || c.Health.Timeout != d(20*time.Second) {
		t.Errorf("cluster %+v", c)
	}
	strict := Import(read(t, "sun15.xml"), Options{File: "f"})
	e := strict.Report.Entries[0]
	if strict.Config != nil || e.Line != 3 || e.Column != 25 || !strings.Contains(e.Why, "--lenient") {
		t.Errorf("strict: %v", strict.Report.Entries)
	}
}

func TestExample2(t *testing.T) { // SUN-29, SUN-21
	res := good(t, "sun29.xml")
	c := res.Config.Clusters[0]
	in := c.Instances[0]
	if in.Name != "myinstance1" || !in.Enabled || in.QuiesceTimeout != d(36*time.Minute) || !slices.Equal(in.Listeners, []string{"http://www.example.com:41", "https://www.example.com:42"}) {
		t.Errorf("instance %+v", in)
	}
	if c.Health.Interval != d(10*time.Second) || c.Health.Timeout != d(15*time.Second) {
		t.Errorf("health %+v", c.Health)
	}
	if res.Poll != 60*time.Second { // SUN-25, the default of reload-poll-interval-in-seconds
		t.Errorf("poll %v", res.Poll)
	}
}

func TestFullSample(t *testing.T) { // SUN-41
	c := good(t, "sun41.xml").Config.Clusters[0]
	if len(c.Instances) != 2 || len(c.Modules) != 2 || c.Modules[0].ContextRoot != "/fortune" || c.Modules[1].ContextRoot != "/shopping" {
		t.Fatalf("cluster %+v", c)
	}
	if !slices.Equal(c.Instances[0].Listeners, []string{"http://www.example.com:41", "https://www.example.com:42"}) {
		t.Errorf("listeners %v", c.Instances[0].Listeners)
	}
	for i := range 2 {
		if !c.Instances[i].Enabled || c.Instances[i].QuiesceTimeout != d(31*time.Minute) || !c.Modules[i].Enabled || c.Modules[i].QuiesceTimeout != d(31*time.Minute) {
			t.Errorf("%+v, %+v", c.Instances[i], c.Modules[i])
		}
	}
	if !slices.Equal(c.Instances[1].Listeners, []string{"http://www.example.com:43", "https://www.example.com:44"}) {
		t.Errorf("listeners %v", c.Instances[1].Listeners)
	}
	if c.Health.Path != "/" || c.Health.Interval != d(10*time.Second) || c.Health.Timeout != d(10*time.Second) {
		t.Errorf("health %+v: an omitted timeout is 10 s", c.Health)
	}
}

func TestHTTPSRouting(t *testing.T) {
	const both, secured, clear = "http://a:1 HTTPS://a:2", "https://a", "http://a:1"
	for _, c := range []struct{ property, listeners, want, status, why string }{
		{"false", both, "http://a:1", "approximated", "HTTPS://a:2 is left out"},
		{"false", secured, "https://a:443", "approximated", "no http:// listener"},
		{"false", clear, "http://a:1", "mapped", ""},
		{"true", both, "http://a:1 HTTPS://a:2", "mapped", ""},
		{"true", secured, "https://a:443", "mapped", ""},
		{"", both, "http://a:1 HTTPS://a:2", "approximated", "write it as false"},
		{"", secured, "https://a:443", "mapped", ""},
		{"", clear, "http://a:1", "mapped", ""},
	} {
		text := `<loadbalancer><cluster name="c"><instance name="i" listeners="` + c.listeners + `"/></cluster>`
		if c.property != "" { // behind the clusters, as the definition has it
			text += `<property name="https-routing" value="` + c.property + `"/>`
		}
		res := golden.Good(t, Import([]byte(text+"</loadbalancer>"), Options{}))
		if got := strings.Join(res.Config.Clusters[0].Instances[0].Listeners, " "); !strings.EqualFold(got, c.want) {
			t.Errorf("%q, %q: %s", c.property, c.listeners, got)
		}
		for _, e := range res.Report.Entries {
			if e.What == "instance.listeners" && (string(e.Status) != c.status || !strings.Contains(e.Why, c.why)) {
				t.Errorf("%q, %q: %s, %s", c.property, c.listeners, e.Status, e.Why)
			}
		}
	}
}

// fault imports a file that has one error and gives it.
func fault(t *testing.T, body string, opt Options) report.Entry {
	t.Helper()
	res := Import([]byte("<loadbalancer>\n"+body+"\n</loadbalancer>"), opt)
	if res.Config != nil {
		t.Fatalf("%s: was imported", body)
	}
	for _, e := range res.Report.Entries {
		if e.Status == report.Error {
			return e
		}
	}
	t.Fatalf("%s: no error in %v", body, res.Report.Entries)
	return report.Entry{}
}

func TestFaults(t *testing.T) {
	const inst = `<instance name="i" listeners="http://h:1"`
	for _, tc := range []struct {
		body         string
		line, column int
		want         string
	}{
		{`<cluster name="a"/><cluster name="a"/>`, 2, 29, "twice"}, // SUN-07, SUN-08
		{`<cluster/>`, 2, 1, "name is missing"},
		{`<cluster name="c"><instance listeners="http://h:1"/></cluster>`, 2, 19, "name is missing"}, // SUN-17
		{`<cluster name="c"><instance name="i"/></cluster>`, 2, 19, "listeners is missing"},          // SUN-21
		{`<cluster name="c">` + inst + `/>` + inst + `/></cluster>`, 2, 72, "twice"},
		{`<cluster name="c">` + inst + ` enabled="maybe"/></cluster>`, 2, 61, "true or false"},
		{`<cluster name="c">` + inst + ` disable-timeout-in-minutes="5m"/></cluster>`, 2, 61, "not a whole number"},
		{`<cluster name="c">` + inst + ` disable-timeout-in-minutes="99999999999999999999"/></cluster>`, 2, 61, "out of range"},
		{`<cluster name="c">` + inst + ` weight="-1"/></cluster>`, 2, 61, "out of range"},
		{`<cluster name="c">` + inst + ` colour="red"/></cluster>`, 2, 61, "unknown"},
		{`<cluster name="c"><web-module context-root="/a"/><web-module context-root="/a/"/></cluster>`, 2, 50, "already"}, // SUN-36
		{`<cluster name="c"><health-checker/><health-checker/></cluster>`, 2, 36, "one health-checker"},                   // SUN-16
		{`<cluster name="c"><health-checker timeout-in-seconds="1" time-out-in-seconds="1"/></cluster>`, 2, 58, "two spellings"},
		{`<cluster name="c"><health-checker url="http://h/x"/></cluster>`, 2, 35, "must begin with /"},
		{`<cluster name="c" policy="user-defined" policy-module="x.so"/>`, 2, 19, "--policy-fallback"},
		{`<cluster name="c" policy="fastest"/>`, 2, 19, "no policy"},
		{`<cluster name="../../etc/passwd"/>`, 2, 10, "cannot be the name"},
		{`<cluster name="c">text</cluster>`, 2, 1, "there is text"},
		{`<property name="response-timeout-in-seconds" value="-1"/>`, 2, 46, "out of range"},
		{`<property name="https-routing" value="true"/><property name="https-routing" value="true"/>`, 2, 56, "twice"},
		{`<property name="https-routing"/>`, 2, 1, "value is missing"},
		{`<server-farm/>`, 2, 1, "unknown"},
	} {
		e := fault(t, tc.body, Options{})
		if e.Line != tc.line || e.Column != tc.column || !strings.Contains(e.Why, tc.want) {
			t.Errorf("%s: got %v, want %d:%d %q", tc.body, e, tc.line, tc.column, tc.want)
		}
	}
}

func TestWeightsAndDefaults(t *testing.T) {
	res := Import([]byte(`<loadbalancer><cluster name="c" policy="weighted-round-robin">
<instance name="a" listeners="http://h:1" weight="30"/><instance name="b" listeners="http://h:2"/></cluster>
<property name="response-timeout-in-seconds" value="0"/><property name="reload-poll-interval-in-seconds" value="0"/></loadbalancer>`), Options{Listener: ":80"})
	if res.Config == nil {
		t.Fatal(res.Report.Entries)
	}
	c := res.Config.Clusters[0]
	if c.Instances[0].Weight != 3 || c.Instances[1].Weight != 10 { // 30 to the default of 100
		t.Errorf("weights %d %d", c.Instances[0].Weight, c.Instances[1].Weight)
	}
	if c.ResponseTimeout != 0 || !slices.Equal(c.Health.Passive, []string{"connect"}) || res.Poll != 0 { // SUN-90: 0 is never
		t.Errorf("responseTimeout %v, passive %v, poll %v", c.ResponseTimeout, c.Health.Passive, res.Poll)
	}
	if l := res.Config.Listeners; len(l) != 1 || l[0].Name != "web" || l[0].Address != ":80" {
		t.Errorf("listeners %+v", l)
	}
}

func TestModulesEnabledAndDisabled(t *testing.T) { // SUN-62, SUN-54
	for word, want := range map[string]bool{"true": true, "false": false, "no": false, "ON": true} {
		res := Import([]byte(`<loadbalancer><cluster name="c"><instance name="i" listeners="http://h:1" enabled="`+word+`"/><web-module context-root="/a" enabled="`+word+`"/></cluster></loadbalancer>`), Options{})
		if res.Config == nil || res.Config.Clusters[0].Modules[0].Enabled != want || res.Config.Clusters[0].Instances[0].Enabled != want {
			t.Errorf("%s: %v", word, res.Report.Entries)
		}
	}
}

// FuzzImport: whatever the bytes are, there is a report, and a configuration only without an error.
func FuzzImport(f *testing.F) {
	for name := range fixtures {
		f.Add(readSeed(f, name), true)
	}
	f.Add(readSeed(f, "clinstance.conf"), false)
	f.Fuzz(func(t *testing.T, data []byte, lenient bool) {
		res := Import(data, Options{File: "f", Lenient: lenient, PolicyFallback: "round-robin"})
		if (res.Config == nil) != res.Report.Failed() {
			t.Fatalf("configuration %v, report %v", res.Config, res.Report.Entries)
		}
		for _, e := range res.Report.Entries {
			if e.Line < 1 || e.Column < 1 || e.Status == "" || e.Status != report.Mapped && e.Why == "" {
				t.Fatalf("entry %+v", e)
			}
		}
		if res.Config == nil {
			return
		}
		if err := res.Config.Validate(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Export(res.Config); err != nil {
			t.Fatal(err)
		}
	})
}
