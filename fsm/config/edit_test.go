package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const editBase = `
listeners: [{name: web, address: ":8080"}]
clusters:
  - name: c1
    quiesceTimeout: 45m
    modules: [{contextRoot: /shop, host: www.example.com}, {contextRoot: /shop, quiesceTimeout: 5m}]
    instances:
      - {name: i1, listeners: ["http://10.0.0.1:80"], zone: east, weight: 3}
      - {name: i2, listeners: ["http://10.0.0.2:80"], quiesceTimeout: 1h, failoverTo: i1}
  - {name: c2, affinity: {type: learn}, instances: [{name: i1, listeners: ["http://10.0.1.1:80"], route: jvm1}]}
`

func parseBase(t testing.TB) *Config {
	t.Helper()
	c, err := Parse("base", []byte(editBase))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func readEdits(t testing.TB, text string) (edits []Edit) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &edits); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return edits
}

// applied gives the changes that edits make, one a line.
func applied(t *testing.T, c *Config, text string) (*Config, string) {
	t.Helper()
	before := string(c.Canonical())
	next, err := c.Apply(readEdits(t, text))
	if string(c.Canonical()) != before {
		t.Errorf("%s changes the receiver", text)
	}
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	checkRoundTrip(t, next)
	var lines []string
	for _, ch := range Diff(c, next) {
		what := strings.TrimPrefix(ch.Cluster+"."+ch.Name+ch.Host+ch.ContextRoot, ".")
		switch ch.Op {
		case "set":
			lines = append(lines, fmt.Sprintf("%s %s %s: %s -> %s", ch.Kind, what, ch.Field, ch.From, ch.To))
		default:
			lines = append(lines, fmt.Sprintf("%s %s %s", ch.Op, ch.Kind, what))
		}
	}
	return next, strings.Join(lines, "\n")
}

func TestApply(t *testing.T) {
	for _, c := range []struct{ edits, want string }{
		{`[]`, ""},
		{`[{"op":"set","kind":"instance","cluster":"c1","name":"i1","values":{"weight":0,"listeners":["http://10.0.0.9:81/"]}}]`,
			`instance c1.i1 listeners: ["http://10.0.0.1:80"] -> ["http://10.0.0.9:81"]` + "\ninstance c1.i1 weight: 3 -> 0"},
		{`[{"op":"set","kind":"instance","cluster":"c1","name":"i1","values":{"weight":null,"zone":null}}]`, "instance c1.i1 weight: 3 -> 1\n" + `instance c1.i1 zone: "east" -> ""`},
		{`[{"op":"set","kind":"instance","cluster":"c2","name":"i1","values":{"route":null}}]`, `instance c2.i1 route: "jvm1" -> "i1"`},
		{`[{"op":"set","kind":"instance","cluster":"c1","name":"i2","values":{"quiesceTimeout":null,"failoverTo":null}}]`,
			`instance c1.i2 quiesceTimeout: "1h" -> "45m"` + "\n" + `instance c1.i2 failoverTo: "i1" -> `},
		{`[{"op":"disable","kind":"instance","cluster":"c1","name":"i1"}]`, "instance c1.i1 enabled: true -> false"},
		{`[{"op":"disable","kind":"instance","cluster":"c1","name":"i1"},{"op":"enable","kind":"instance","cluster":"c1","name":"i1"}]`, ""},
		{`[{"op":"disable","kind":"cluster","name":"c1"}]`, "instance c1.i1 enabled: true -> false\ninstance c1.i2 enabled: true -> false"},
		{`[{"op":"disable","kind":"module","cluster":"c1","host":"WWW.example.com","contextRoot":"/shop/"}]`, "module c1.www.example.com/shop enabled: true -> false"},
		{`[{"op":"remove","kind":"module","cluster":"c1","contextRoot":"/shop"}]`, "remove module c1./shop"},
		{`[{"op":"remove","kind":"cluster","name":"c1"}]`, "remove module c1.www.example.com/shop\nremove module c1./shop\nremove instance c1.i1\nremove instance c1.i2\nremove cluster c1"},
		{`[{"op":"remove","kind":"listener","name":"web"},{"op":"add","kind":"listener","name":"w2","values":{"address":":8080"}}]`, "add listener w2\nremove listener web"},
		{`[{"op":"set","kind":"listener","name":"web","values":{"address":":81","zones":["a"]}}]`, `listener web address: ":8080" -> ":81"` + "\n" + `listener web zones:  -> ["a"]`},
		{`[{"op":"set","kind":"group","values":{"onQuorumLoss":"refuse"}}]`, `group  onQuorumLoss: "provisional" -> "refuse"`},
		{`[{"op":"set","kind":"group","values":{"holder":{"prefer":["n2","n1"]}}},{"op":"set","kind":"group","values":{"holder":{"settle":"5s"}}}]`, `group  holder.prefer:  -> ["n2","n1"]` + "\n" + `group  holder.settle: "1m" -> "5s"`},
		{`[{"op":"set","kind":"group","values":{"holder":{"zone":"east","settle":"5s"}}},{"op":"set","kind":"group","values":{"holder":{"settle":null}}}]`, `group  holder.zone: "" -> "east"`},
		{`[{"op":"set","kind":"group","values":{"holder":{"zone":"east","prefer":["n1"]}}},{"op":"set","kind":"group","values":{"holder":null}}]`, ""},
		{`[{"op":"set","kind":"cluster","name":"c2","values":{"health":{"interval":"5s"},"bodyBuffer":0}}]`, `cluster c2 health.interval: "30s" -> "5s"` + "\n" + `cluster c2 bodyBuffer: "64KiB" -> "0B"`},
		{`[{"op":"set","kind":"cluster","name":"c2","values":{"health":{"passive":[]}}},{"op":"set","kind":"cluster","name":"c2","values":{"health":{"passive":null}}}]`, ""},
		{`[{"op":"set","kind":"cluster","name":"c2","values":{"health":null,"affinity":null}}]`, `cluster c2 affinity.type: "learn" -> "insert"` + "\n" + `cluster c2 affinity.names: ["JSESSIONID"] -> `},
		// What is the cluster's follows it; what has a value of its own does not. (TIP-07g)
		{`[{"op":"set","kind":"cluster","name":"c1","values":{"quiesceTimeout":"36m"}}]`,
			`cluster c1 quiesceTimeout: "45m" -> "36m"` + "\n" + `module c1.www.example.com/shop quiesceTimeout: "45m" -> "36m"` + "\n" + `instance c1.i1 quiesceTimeout: "45m" -> "36m"`},
		{`[{"op":"set","kind":"cluster","name":"c1","values":{"backup":["c2"]}},{"op":"set","kind":"cluster","name":"c1","values":{"failBack":"session"}}]`, `cluster c1 backup:  -> ["c2"]` + "\n" + `cluster c1 failBack:  -> "session"`},
		// A thing that one edit adds can be changed by the next.
		{`[{"op":"add","kind":"cluster","name":"c3"},{"op":"add","kind":"instance","cluster":"c3","name":"x","values":{"listeners":["http://10.0.2.1:80"]}},{"op":"set","kind":"instance","cluster":"c3","name":"x","values":{"weight":7}},{"op":"add","kind":"module","cluster":"c3","contextRoot":"/m","values":{"retries":2}}]`,
			"add cluster c3\nadd module c3./m\nadd instance c3.x"},
		{`[{"op":"add","kind":"cluster","name":"c3","values":{"name":"c3","instances":[{"name":"x","listeners":["http://10.0.2.1:80"]}]}},{"op":"disable","kind":"instance","cluster":"c3","name":"x"},{"op":"remove","kind":"cluster","name":"c3"}]`, ""},
		{`[{"op":"remove","kind":"instance","cluster":"c1","name":"i2"},{"op":"add","kind":"instance","cluster":"c1","name":"i2","values":{"listeners":["http://10.0.0.2:80"],"quiesceTimeout":"1h","failoverTo":"i1"}}]`, ""},
	} {
		if _, got := applied(t, parseBase(t), c.edits); got != c.want {
			t.Errorf("%s\ngives %s\nwant  %s", c.edits, got, c.want)
		}
	}
}

// An added instance has the defaults, those of its cluster before those of all. (SUN-17..20, SUN-63, WAS-04, TIP-07g)
func TestApplyAddHasDefaults(t *testing.T) {
	next, _ := applied(t, parseBase(t), `[{"op":"add","kind":"instance","cluster":"c1","name":"i3","values":{"listeners":["HTTP://H:1/"]}},{"op":"add","kind":"module","cluster":"c1","host":"A.B","contextRoot":"/x/"}]`)
	k := &next.Clusters[0]
	in := newInstance(nil)
	in.Name, in.Route, in.Listeners, in.QuiesceTimeout = "i3", "i3", []string{"http://h:1"}, Duration(45*time.Minute)
	if got := k.Instances[2]; !reflect.DeepEqual(got, in) {
		t.Errorf("got %+v, want %+v", got, in)
	}
	m := defaultModule()
	m.Host, m.ContextRoot, m.QuiesceTimeout = "a.b", "/x", Duration(45*time.Minute)
	if got := k.Modules[2]; !reflect.DeepEqual(got, m) {
		t.Errorf("got %+v, want %+v", got, m)
	}
}

// A new instance is copied from one that exists, or has the values of the cluster's template, which is no instance. (WAS-06, WAS-07)
func TestApplyTemplates(t *testing.T) {
	c := parseBase(t)
	next, _ := applied(t, c, `[{"op":"add","kind":"instance","cluster":"c1","name":"i3","values":{"template":"i1","listeners":["http://h:1"],"weight":9}},
		{"op":"add","kind":"instance","cluster":"c1","name":"i4","values":{"template":"i2","listeners":["http://h:2"]}},
		{"op":"add","kind":"instance","cluster":"c1","name":"i5","values":{"template":"i3","listeners":["http://h:3"],"zone":null}}]`)
	in := next.Clusters[0].Instances
	if in[2].Zone != "east" || in[2].Weight != 9 || in[2].Route != "i3" || in[2].QuiesceTimeout != Duration(45*time.Minute) {
		t.Errorf("got %+v", in[2])
	}
	if in[3].QuiesceTimeout != hour || in[3].FailoverTo != "i1" || in[3].Weight != 1 {
		t.Errorf("got %+v", in[3])
	}
	if in[4].Zone != "" || in[4].Weight != 9 {
		t.Errorf("got %+v", in[4])
	}

	if next, _ := applied(t, c, `[{"op":"add","kind":"instance","cluster":"c2","name":"i2","values":{"template":"i1","listeners":["http://h:1"]}}]`); next.Clusters[1].Instances[1].Route != "i2" {
		t.Errorf("the route is copied: %+v", next.Clusters[1].Instances)
	}

	next, got := applied(t, c, `[{"op":"set","kind":"cluster","name":"c1","values":{"instanceTemplate":{"weight":20,"zone":"west","enabled":false}}},
		{"op":"add","kind":"instance","cluster":"c1","name":"i3","values":{"listeners":["http://h:1"],"zone":"north"}},
		{"op":"add","kind":"instance","cluster":"c1","name":"i4","values":{"template":"i1","listeners":["http://h:2"]}}]`)
	if in = next.Clusters[0].Instances; in[2].Weight != 20 || in[2].Zone != "north" || in[2].Enabled || in[3].Zone != "east" || in[3].Weight != 3 || !in[3].Enabled {
		t.Errorf("got %+v", in)
	}
	if strings.Contains(got, "i1") || strings.Contains(got, "i2") {
		t.Errorf("instances that were there change with the template: %s", got)
	}
	if again, got := applied(t, next, `[{"op":"set","kind":"instance","cluster":"c1","name":"i1","values":{"weight":null}},{"op":"set","kind":"cluster","name":"c1","values":{"instanceTemplate":null}}]`); again.Clusters[0].Instances[0].Weight != 1 || again.Clusters[0].InstanceTemplate != nil {
		t.Errorf("got %s", got)
	}
}

// A new cluster is copied from one that exists, without its instances: name and addresses are its own. (TIP-07d)
func TestApplyClonesACluster(t *testing.T) {
	c := parseBase(t)
	c, _ = applied(t, c, `[{"op":"set","kind":"cluster","name":"c1","values":{"health":{"interval":"7s"},"quiesceTimeout":"40m"}}]`)
	next, _ := applied(t, c, `[
		{"op":"add","kind":"module","cluster":"c1","contextRoot":"/gone"},
		{"op":"add","kind":"module","cluster":"c1","contextRoot":"/kept"},
		{"op":"remove","kind":"module","cluster":"c1","contextRoot":"/gone"},
		{"op":"add","kind":"cluster","name":"copy","values":{"template":"c1","health":{"path":"/ping"}}},
		{"op":"set","kind":"cluster","name":"copy","values":{"affinity":{"idleTimeout":"5m"},"quiesceTimeout":"50m"}},
		{"op":"set","kind":"module","cluster":"copy","contextRoot":"/kept","values":{"retries":5}},
		{"op":"add","kind":"instance","cluster":"copy","name":"i1","values":{"listeners":["http://h:1"]}}]`)
	from, clone := next.Clusters[0], next.Clusters[len(next.Clusters)-1]
	if clone.Name != "copy" || clone.Health.Interval != Duration(7*time.Second) || clone.Health.Path != "/ping" || clone.Affinity.IdleTimeout != Duration(5*time.Minute) {
		t.Errorf("the clone is %+v", clone)
	}
	if len(clone.Instances) != 1 || clone.Instances[0].Listeners[0] != "http://h:1" || clone.Instances[0].QuiesceTimeout != Duration(50*time.Minute) {
		t.Errorf("its instances are %+v", clone.Instances)
	}
	if len(clone.Modules) != len(from.Modules) {
		t.Fatalf("modules %+v, want those of %+v", clone.Modules, from.Modules)
	}
	for i, m := range clone.Modules {
		of := from.Modules[i]
		if m.ContextRoot == "/gone" || of.ContextRoot == "/gone" {
			t.Errorf("a removed module is there: %+v, %+v", m, of)
		}
		if m.ContextRoot == "/kept" { // depends on its own cluster's default, and an edit of it changes no other cluster
			if m.QuiesceTimeout != Duration(50*time.Minute) || m.Retries != 5 || of.QuiesceTimeout != Duration(40*time.Minute) || of.Retries == 5 {
				t.Errorf("the clone has %+v, the original %+v", m, of)
			}
		}
	}
	if before := c.Clusters[0]; !reflect.DeepEqual(from.Health, before.Health) || !reflect.DeepEqual(from.Affinity, before.Affinity) || !reflect.DeepEqual(from.Instances, before.Instances) {
		t.Errorf("the original has changed: %+v, before %+v", from, before)
	}
}

// Edits to anything leave all the rest byte for byte as it is. (product.md, behaviour 8)
func TestApplyTouchesNothingElse(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		c := drawConfig(r)
		var edits []Edit
		touched := map[string]bool{}
		for i := range c.Clusters {
			for _, in := range c.Clusters[i].Instances {
				if rapid.Bool().Draw(r, "touch") {
					edits = append(edits, Edit{Op: "set", Kind: "instance", Cluster: c.Clusters[i].Name, Name: in.Name, Values: json.RawMessage(`{"maxSessions":1000000000}`)})
					touched[c.Clusters[i].Name+"/"+in.Name] = true
				}
			}
		}
		next, err := c.Apply(edits)
		if err != nil {
			r.Fatal(err)
		}
		for _, ch := range Diff(c, next) {
			if ch.Kind != "instance" || ch.Field != "maxSessions" || !touched[ch.Cluster+"/"+ch.Name] {
				r.Fatalf("unasked for: %+v", ch)
			}
		}
	})
}

func TestApplyManyEdits(t *testing.T) {
	c := parseBase(t)
	edits := make([]Edit, MaxEdits)
	for i := range edits {
		edits[i] = Edit{Op: "add", Kind: "instance", Cluster: "c1", Name: fmt.Sprint("x", i), Values: json.RawMessage(fmt.Sprintf(`{"listeners":["http://h:%d"]}`, i+1))}
		if i%3 == 2 {
			edits[i] = Edit{Op: "remove", Kind: "instance", Cluster: "c1", Name: fmt.Sprint("x", i-1)}
		}
	}
	start := cpuTime(t)
	next, err := c.Apply(edits)
	if err != nil || len(next.Clusters[0].Instances) != 2+MaxEdits/3+1 {
		t.Fatalf("%v", err)
	}
	if d := cpuTime(t) - start; d > 10*time.Second {
		t.Errorf("took %v of the processor", d)
	}
	_, err = c.Apply(append(edits, Edit{}))
	var list Errors
	if !errors.As(err, &list) || list[0].Path != "edits" || !strings.Contains(list[0].Message, "10001 edits, at most 10000") {
		t.Errorf("got %v", err)
	}
}

func FuzzApply(f *testing.F) {
	for _, text := range []string{
		`[{"op":"add","kind":"cluster","name":"c3","values":{"instances":[{"name":"x","listeners":["http://10.0.2.1:80"]}]}},{"op":"disable","kind":"cluster","name":"c3"}]`,
		`[{"op":"set","kind":"cluster","name":"c1","values":{"instances":null,"modules":5,"affinity":{"type":"header","name":null}}},{"op":"remove","kind":"instance","cluster":"c1","name":"i1"}]`,
		`[{"op":"set","kind":"group","values":{"onQuorumLoss":null}},{"op":"remove","kind":"module","cluster":"c1","contextRoot":"/shop","host":"www.example.com"}]`,
		`[{"op":"set","kind":"group","values":{"holder":{"prefer":["n1"],"zone":"z","settle":"1s"}}},{"op":"set","kind":"group","values":{"holder":{"prefer":[null],"settle":null}}}]`,
		`[{"op":"add","kind":"instance","cluster":"c1","name":"i3","values":{"template":"i1","template":[],"listeners":[null]}}]`,
		`[{"op":"set","kind":"cluster","name":"c2","values":{"instanceTemplate":{"quiesceTimeout":"5m"}}},{"op":"set","kind":"cluster","name":"c2","values":{"instanceTemplate":{"weight":null}}}]`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var edits []Edit
		if json.Unmarshal(data, &edits) != nil {
			return
		}
		c := parseBase(t)
		before := string(c.Canonical())
		next, err := c.Apply(edits)
		if string(c.Canonical()) != before {
			t.Error("the receiver has changed")
		}
		if err != nil {
			var list Errors
			if !errors.As(err, &list) || len(list) == 0 || next != nil {
				t.Errorf("error %T: %v", err, err)
			}
			return
		}
		checkRoundTrip(t, next)
	})
}
