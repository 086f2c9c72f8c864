package config

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Diff is exact: made to the old configuration field by field, on a model that knows nothing of the types, it gives the new one; it lists nothing
// twice; and it is empty just when only the order of named things is different.
func TestDiffIsExact(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		a, b := drawConfig(r), drawConfig(r)
		if rapid.Bool().Draw(r, "near") {
			b = mutate(r, a)
		} else {
			takeNames(b, a)
		}
		before, after := modelOf(t, a), modelOf(t, b)
		changes := Diff(a, b)
		seen := map[string]bool{}
		for _, ch := range changes {
			id := fmt.Sprint(ch.Op, ch.Kind, ch.Cluster, ch.Name, ch.Host, ch.ContextRoot, ch.Field)
			if seen[id] {
				r.Fatalf("twice: %+v", ch)
			}
			seen[id] = true
			before.change(r, ch)
		}
		if !reflect.DeepEqual(before, after) {
			r.Fatalf("the changes\n%+v\nlead to\n%v\nand not to\n%v", changes, before, after)
		}
		if same := reflect.DeepEqual(modelOf(t, a), after); same != (len(changes) == 0) {
			r.Fatalf("equal: %v, but %d changes", same, len(changes))
		}
		if d := Diff(a, shuffled(a)); len(d) != 0 {
			r.Fatalf("the order of named things is no change: %+v", d)
		}
	})
}

// takeNames gives the things of one configuration the names of another's, so that they are the same things with other values.
func takeNames(to, from *Config) {
	for i := range min(len(to.Clusters), len(from.Clusters)) {
		k, named := &to.Clusters[i], &from.Clusters[i]
		k.Name = named.Name
		for j := range min(len(k.Instances), len(named.Instances)) {
			k.Instances[j].Name = named.Instances[j].Name
		}
		for j := range min(len(k.Modules), len(named.Modules)) {
			k.Modules[j].Host, k.Modules[j].ContextRoot = named.Modules[j].Host, named.Modules[j].ContextRoot
		}
	}
}

// mutate changes a few things of a configuration.
func mutate(r *rapid.T, a *Config) *Config {
	b := a.Clone()
	for i := range b.Clusters {
		k := &b.Clusters[i]
		switch rapid.IntRange(0, 4).Draw(r, "what") {
		case 0:
			k.Health.Passive = append(k.Health.Passive, "x")
		case 1:
			k.Instances = k.Instances[:len(k.Instances)/2]
		case 2:
			k.InstanceTemplate = nil
		case 3:
			for j := range k.Instances {
				k.Instances[j].Weight++
			}
			k.BodyBuffer++
		}
	}
	return shuffled(b)
}

func shuffled(c *Config) *Config {
	d := c.Clone()
	random := rand.New(rand.NewSource(1))
	random.Shuffle(len(d.Listeners), reflect.Swapper(d.Listeners))
	random.Shuffle(len(d.Clusters), reflect.Swapper(d.Clusters))
	for i := range d.Clusters {
		random.Shuffle(len(d.Clusters[i].Modules), reflect.Swapper(d.Clusters[i].Modules))
		random.Shuffle(len(d.Clusters[i].Instances), reflect.Swapper(d.Clusters[i].Instances))
	}
	return d
}

// model is a configuration as a map from the path of each leaf to its JSON: "cluster/c1/health.interval". A thing itself has the path that ends in /.
type model map[string]string

func modelOf(t *testing.T, c *Config) model {
	var root map[string]any
	if err := json.Unmarshal(c.Canonical(), &root); err != nil {
		t.Fatal(err)
	}
	m := model{}
	things := func(list any, kind string, id func(map[string]any) string) {
		for _, v := range list.([]any) {
			m.put(kind+"/"+id(v.(map[string]any))+"/", v.(map[string]any))
		}
	}
	name := func(v map[string]any) string { return v["name"].(string) }
	things(root["listeners"], "listener", name)
	for _, v := range root["clusters"].([]any) {
		k := v.(map[string]any)
		things(k["instances"], "instance", func(v map[string]any) string { return name(k) + "/" + name(v) })
		things(k["modules"], "module", func(v map[string]any) string {
			return name(k) + "/" + v["host"].(string) + v["contextRoot"].(string)
		})
		delete(k, "instances")
		delete(k, "modules")
		m.put("cluster/"+name(k)+"/", k)
	}
	delete(root, "listeners")
	delete(root, "clusters")
	m.put("group//", root)
	return m
}

// put enters a mapping and what is in it. A template is one more level only while it is there.
func (m model) put(prefix string, v map[string]any) {
	m[prefix] = ""
	m.leaves(prefix, v)
}

func (m model) leaves(prefix string, v map[string]any) {
	for key, value := range v {
		if sub, ok := value.(map[string]any); ok {
			m.leaves(prefix+key+".", sub)
			continue
		}
		b, _ := json.Marshal(value)
		m[prefix+key] = string(b)
	}
}

func (m model) change(r *rapid.T, ch Change) {
	prefix := map[string]string{
		"group": "group//", "listener": "listener/" + ch.Name + "/", "cluster": "cluster/" + ch.Name + "/",
		"instance": "instance/" + ch.Cluster + "/" + ch.Name + "/", "module": "module/" + ch.Cluster + "/" + ch.Host + ch.ContextRoot + "/",
	}[ch.Kind]
	_, there := m[prefix]
	if there == (ch.Op == "add") {
		r.Fatalf("there: %v, for %+v", there, ch)
	}
	path := prefix + ch.Field
	if ch.Op != "set" {
		path = prefix
	}
	m.take(r, path, ch.Op == "remove", ch.From, ch)
	switch {
	case ch.To == nil:
	case ch.Op == "add":
		m.put(prefix, object(ch.To))
	case object(ch.To) != nil:
		m.leaves(path+".", object(ch.To))
	default:
		m[path] = plainJSON(ch.To)
	}
}

// take takes the old value out, which has to be From.
func (m model) take(r *rapid.T, path string, whole bool, from json.RawMessage, ch Change) {
	old := model{}
	switch {
	case whole:
		old.put(path, object(from))
	case object(from) != nil:
		old.leaves(path+".", object(from))
	case from != nil:
		old[path] = plainJSON(from)
	}
	for key, value := range old {
		if m[key] != value {
			r.Fatalf("%s was %q and not %q, in %+v", key, m[key], value, ch)
		}
		delete(m, key)
	}
	for key := range m {
		if ch.Op == "set" && (key == path || strings.HasPrefix(key, path+".")) || whole && strings.HasPrefix(key, path) {
			r.Fatalf("%s is left over after %+v", key, ch)
		}
	}
}

// object gives nil for what is no object.
func object(raw json.RawMessage) map[string]any {
	var v any
	_ = json.Unmarshal(raw, &v)
	o, _ := v.(map[string]any)
	return o
}

func plainJSON(raw json.RawMessage) string {
	var v any
	_ = json.Unmarshal(raw, &v)
	b, _ := json.Marshal(v)
	return string(b)
}

func TestDiffOrder(t *testing.T) {
	a, b := parseBase(t), parseBase(t)
	b.OnQuorumLoss = "refuse"
	b.Clusters[1].Policy = "peak-ewma"
	b.Clusters = append(b.Clusters[1:], Cluster{Name: "c9"})
	b.Listeners[0].Name = "w9"
	var got []string
	for _, ch := range Diff(a, b) {
		got = append(got, ch.Op+" "+ch.Kind+" "+ch.Name)
	}
	want := "add listener w9, set cluster c2, add cluster c9, set group , remove listener web, remove module , remove module , remove instance i1, remove instance i2, remove cluster c1"
	if text := strings.Join(got, ", "); text != want {
		t.Errorf("got %s\nwant %s", text, want)
	}
	// The order of values in a list is a change.
	b = parseBase(t)
	b.Clusters[1].Affinity.Names = []string{"A", "B"}
	c := b.Clone()
	c.Clusters[1].Affinity.Names = []string{"B", "A"}
	if d := Diff(b, c); len(d) != 1 || d[0].Field != "affinity.names" || string(d[0].From) != `["A","B"]` || string(d[0].To) != `["B","A"]` {
		t.Errorf("got %+v", d)
	}
	// So are the values of a template, one by one, while there is one on both sides.
	b.Clusters[1].InstanceTemplate = &Template{Weight: 1, Zone: "a"}
	c = b.Clone()
	c.Clusters[1].InstanceTemplate.Weight = 2
	if d := Diff(b, c); len(d) != 1 || d[0].Field != "instanceTemplate.weight" || string(d[0].From) != "1" || string(d[0].To) != "2" {
		t.Errorf("got %+v", d)
	}
	c.Clusters[1].InstanceTemplate = nil
	if d := Diff(b, c); len(d) != 1 || d[0].Field != "instanceTemplate" || d[0].To != nil {
		t.Errorf("got %+v", d)
	}
}
