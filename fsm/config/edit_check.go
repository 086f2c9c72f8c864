package config

import (
	"slices"
	"strconv"
)

// named checks how an edit names its subject.
func (e *editor) named(at *path, ed *Edit) bool {
	before := len(e.p.list)
	e.p.oneOf(at.child("op"), ed.Op, []string{"add", "set", "enable", "disable", "remove"}, nil)
	e.p.oneOf(at.child("kind"), ed.Kind, []string{"listener", "cluster", "instance", "module", "group"}, nil)
	if len(e.p.list) > before {
		return false
	}
	switch {
	case ed.Kind == "group" && ed.Op != "set":
		e.p.add(at.child("op"), "write set", "the group can only be set")
	case ed.Kind == "listener" && (ed.Op == "enable" || ed.Op == "disable"):
		e.p.add(at.child("op"), "add or remove it", "a listener cannot be enabled or disabled")
	}
	needs := map[string][]string{
		"listener": {"name"}, "cluster": {"name"}, "instance": {"name", "cluster"}, "module": {"cluster", "contextRoot", "host"},
	}[ed.Kind]
	for _, f := range []struct{ key, value string }{{"name", ed.Name}, {"cluster", ed.Cluster}, {"host", ed.Host}, {"contextRoot", ed.ContextRoot}} {
		needed := slices.Contains(needs, f.key)
		switch {
		case needed && f.value == "" && f.key == "cluster":
			e.p.add(at.child(f.key), "say in which cluster the "+ed.Kind+" is", "is missing")
		case needed && f.value == "" && f.key != "host":
			e.p.add(at.child(f.key), "say which "+ed.Kind, "is missing")
		case !needed && f.value != "":
			e.p.add(at.child(f.key), "remove it", "does not belong to an edit of kind %s", ed.Kind)
		}
	}
	return len(e.p.list) == before
}

// values reads the values of an edit and checks their keys and types. ok is false when nothing can be done with them.
func (e *editor) values(at *path, ed *Edit) (values *node, ok bool) {
	at = at.child("values")
	none := &node{kind: kindMap}
	absent := len(ed.Values) == 0 || string(ed.Values) == "null"
	switch {
	case ed.Op != "add" && ed.Op != "set":
		if !absent {
			e.p.add(at, "remove them", "values belong to add and set")
		}
		return none, absent
	case absent && ed.Op == "set":
		e.p.add(at, `write values: {"weight": 2}, for example`, "are missing: there is nothing to set")
		return nil, false
	case absent:
		return none, true
	}
	if e.bytes += len(ed.Values); e.bytes > MaxInput {
		e.p.add(at, "make several transactions", "the values of all edits have more than %d bytes", MaxInput)
		return nil, false
	}
	values, err := readPart(ed.Values)
	if err != nil {
		e.p.add(at, "", "not JSON: %s", clipTo(200, err.Error()))
		return nil, false
	}
	e.decode(at, ed, values)
	if values.kind != kindMap {
		return nil, false
	}
	e.identity(at, ed, values)
	return values, true
}

// decode reads the values once by themselves, so that they have their errors whatever later edits do. A value that is wrong is reported once: the
// second time is when the whole is read.
func (e *editor) decode(at *path, ed *Edit, values *node) {
	d := decoder{p: e.p, resets: true}
	switch ed.Kind {
	case "group":
		var loss string
		var holder Holder
		var proxy Proxy
		var acme *ACME
		d.object(values, at, []field{{"onQuorumLoss", d.text(&loss)}, {"holder", d.holder(&holder)}, {"proxy", d.proxy(&proxy)}, {"acme", d.acme(&acme)}})
	case "listener":
		d.listener(values, at)
	case "cluster":
		rest := *values
		if ed.Op == "add" {
			rest = e.template(at, values)
		}
		d.cluster(&rest, at)
	case "module":
		d.module(values, at)
	case "instance":
		rest := *values
		if ed.Op == "add" {
			rest = e.template(at, values)
		}
		d.instance(&rest, at, nil)
	}
}

// template checks the key that only edits have. It gives the values without it.
func (e *editor) template(at *path, values *node) node {
	rest := *values
	rest.pairs = nil
	times := 0
	for _, kv := range values.pairs {
		if kv.key != "template" {
			rest.pairs = append(rest.pairs, kv)
			continue
		}
		if times++; times > 1 {
			e.p.add(at.child("template"), "keep one of them", `key "template" is there twice`)
		}
		decoder{p: e.p}.want(kindString, kv.value, at.child("template"))
	}
	return rest
}

// identity takes the names of the subject out of the values: with add they may stand there a second time, with set they cannot be changed.
func (e *editor) identity(at *path, ed *Edit, values *node) {
	names := map[string]string{"name": ed.Name}
	switch ed.Kind {
	case "group":
		return
	case "module":
		names = map[string]string{"host": ed.Host, "contextRoot": ed.ContextRoot}
	}
	for _, key := range []string{"name", "host", "contextRoot"} {
		kv := firstOf(values.pairs, key)
		name, known := names[key]
		if kv == nil || !known {
			continue
		}
		switch {
		case ed.Op == "set":
			e.p.add(at.child(key), "add it under its new name and remove the old one", "%s cannot be changed: sessions and history go by it", key)
		case kv.value.kind == kindString && kv.value.text != name:
			e.p.add(at.child(key), "remove it", "is %s, but the edit is about %s", strconv.Quote(clip(kv.value.text)), strconv.Quote(clip(name)))
		}
		values.drop(key)
	}
}
