package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Any sequence of right edits gives what the same sequence does to a model: the structs themselves.
func TestApplyAgainstModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		c := drawConfig(r)
		want := c.Clone()
		for i := range want.Clusters {
			takeOut(&want.Clusters[i])
		}
		var edits []Edit
		for i := range rapid.IntRange(1, 12).Draw(r, "edits") {
			if ed, ok := drawEdit(r, want, i); ok {
				edits = append(edits, ed)
			}
		}
		for i := range want.Clusters {
			fillIn(&want.Clusters[i])
		}
		got, err := c.Apply(edits)
		if invalid := want.Validate(); (err == nil) != (invalid == nil) {
			r.Fatalf("%+v\nApply: %v\nmodel: %v", edits, err, invalid)
		}
		if err == nil && !reflect.DeepEqual(got, want) {
			r.Fatalf("%+v\ngot  %s\nwant %s", edits, got.Canonical(), want.Canonical())
		}
	})
}

// drawEdit makes an edit to the model and says which.
func drawEdit(r *rapid.T, c *Config, n int) (Edit, bool) {
	op := rapid.SampledFrom([]string{"add", "set", "enable", "disable", "remove"}).Draw(r, "op")
	switch kind := rapid.SampledFrom([]string{"listener", "cluster", "instance", "module", "group"}).Draw(r, "kind"); kind {
	case "group":
		if op == "add" {
			c.Holder.Prefer = []string{"n1"}
			return Edit{Op: "set", Kind: kind, Values: json.RawMessage(`{"holder":{"prefer":["n1"]}}`)}, true
		}
		c.OnQuorumLoss = "refuse"
		return Edit{Op: "set", Kind: kind, Values: json.RawMessage(`{"onQuorumLoss":"refuse"}`)}, true
	case "listener":
		return editListener(r, c, op, n)
	case "cluster":
		return editCluster(r, c, op, n)
	default:
		if len(c.Clusters) == 0 {
			return Edit{}, false
		}
		k := &c.Clusters[rapid.IntRange(0, len(c.Clusters)-1).Draw(r, "at")]
		ed := Edit{Op: op, Kind: kind, Cluster: k.Name}
		if kind == "module" {
			return editModule(r, k, ed, n)
		}
		return editInstance(r, k, ed, n)
	}
}

func editListener(r *rapid.T, c *Config, op string, n int) (Edit, bool) {
	ed := Edit{Op: op, Kind: "listener"}
	if op == "add" {
		ed.Name, ed.Values = fmt.Sprint("n", n), json.RawMessage(fmt.Sprintf(`{"address":":%d"}`, 2000+n))
		c.Listeners = append(c.Listeners, Listener{Name: ed.Name, Address: fmt.Sprintf(":%d", 2000+n), Protocol: "http", HTTP2: true})
		return ed, true
	}
	if len(c.Listeners) == 0 || op == "enable" || op == "disable" {
		return ed, false
	}
	i := rapid.IntRange(0, len(c.Listeners)-1).Draw(r, "i")
	l := &c.Listeners[i]
	ed.Name = l.Name
	if op == "remove" {
		c.Listeners = slices.Delete(c.Listeners, i, i+1)
		return ed, true
	}
	l.Zones, ed.Values = []string{"z9"}, json.RawMessage(`{"zones":["z9"]}`)
	return ed, true
}

func editCluster(r *rapid.T, c *Config, op string, n int) (Edit, bool) {
	ed := Edit{Op: op, Kind: "cluster"}
	if op == "add" {
		ed.Name = fmt.Sprint("new", n)
		k := defaultCluster()
		k.Name = ed.Name
		c.Clusters = append(c.Clusters, k)
		return ed, true
	}
	if len(c.Clusters) == 0 {
		return ed, false
	}
	i := rapid.IntRange(0, len(c.Clusters)-1).Draw(r, "i")
	k := &c.Clusters[i]
	ed.Name = k.Name
	switch op {
	case "remove":
		c.Clusters = slices.Delete(c.Clusters, i, i+1)
	case "enable", "disable":
		for j := range k.Instances {
			k.Instances[j].Enabled = op == "enable"
		}
	case "set":
		switch rapid.IntRange(0, 3).Draw(r, "what") {
		case 0:
			ed.Values = json.RawMessage(`{"quiesceTimeout":"7m","health":{"rise":9}}`)
			k.QuiesceTimeout, k.Health.Rise = Duration(7*60e9), 9
		case 1:
			ed.Values = json.RawMessage(`{"health":null,"affinity":{"idleTimeout":null}}`)
			k.Health, k.Affinity.IdleTimeout = defaultCluster().Health, defaultIdleTimeout
		case 2:
			ed.Values = json.RawMessage(`{"instances":[],"modules":null,"failBack":null,"backup":[]}`)
			k.Instances, k.Modules, k.FailBack, k.Backup = []Instance{}, []Module{}, "", nil
		case 3:
			ed.Values = json.RawMessage(`{"affinity":{"type":"insert","name":null,"names":null,"routes":null}}`)
			k.Affinity = Affinity{Type: "insert", IdleTimeout: k.Affinity.IdleTimeout}
		}
	}
	return ed, true
}

func editInstance(r *rapid.T, k *Cluster, ed Edit, n int) (Edit, bool) {
	if ed.Op == "add" {
		in := newInstance(k.InstanceTemplate)
		in.Name, in.Listeners, in.Weight = fmt.Sprint("new", n), []string{fmt.Sprintf("http://h:%d", 1+n)}, 11
		values := fmt.Sprintf(`{"listeners":["HTTP://H:%d/"],"weight":11}`, 1+n)
		if len(k.Instances) > 0 && rapid.Bool().Draw(r, "template") {
			t := k.Instances[0]
			t.Name, t.Listeners, t.Route, t.Weight = in.Name, in.Listeners, "", 11
			in = t
			values = fmt.Sprintf(`{"template":%q,%s`, k.Instances[0].Name, values[1:])
		}
		ed.Name, ed.Values = in.Name, json.RawMessage(values)
		k.Instances = append(k.Instances, in)
		return ed, true
	}
	if len(k.Instances) == 0 {
		return ed, false
	}
	i := rapid.IntRange(0, len(k.Instances)-1).Draw(r, "i")
	in := &k.Instances[i]
	ed.Name = in.Name
	switch ed.Op {
	case "remove":
		k.Instances = slices.Delete(k.Instances, i, i+1)
	case "set":
		in.Weight, in.Route, in.QuiesceTimeout = 1000, "", newInstance(k.InstanceTemplate).QuiesceTimeout
		ed.Values = json.RawMessage(`{"weight":1000,"route":null,"quiesceTimeout":null}`)
	default:
		in.Enabled = ed.Op == "enable"
	}
	return ed, true
}

func editModule(r *rapid.T, k *Cluster, ed Edit, n int) (Edit, bool) {
	if ed.Op == "add" {
		m := defaultModule()
		m.ContextRoot, m.Retries = fmt.Sprint("/new", n), 5
		ed.ContextRoot, ed.Values = m.ContextRoot+"/", json.RawMessage(`{"retries":5}`)
		k.Modules = append(k.Modules, m)
		return ed, true
	}
	if len(k.Modules) == 0 {
		return ed, false
	}
	i := rapid.IntRange(0, len(k.Modules)-1).Draw(r, "i")
	m := &k.Modules[i]
	ed.Host, ed.ContextRoot = m.Host, m.ContextRoot
	switch ed.Op {
	case "remove":
		k.Modules = slices.Delete(k.Modules, i, i+1)
	case "set":
		m.Idempotent, m.QuiesceTimeout = []Pattern{{"/x", -1}}, unset
		ed.Values = json.RawMessage(`{"idempotent":[{"pattern":"/x"}],"quiesceTimeout":null}`)
	default:
		m.Enabled = ed.Op == "enable"
	}
	return ed, true
}
