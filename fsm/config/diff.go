package config

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
)

// Change is one difference between two configurations.
type Change struct {
	// Op is add, remove or set.
	Op string `json:"op"`
	// Kind is group, listener, cluster, instance or module; the other names say which one, as in Edit.
	Kind        string `json:"kind"`
	Name        string `json:"name,omitempty"`
	Cluster     string `json:"cluster,omitempty"`
	Host        string `json:"host,omitempty"`
	ContextRoot string `json:"contextRoot,omitempty"`
	// Field is what changes, for set: a key of the configuration, as in weight or health.interval. Lists change as a whole.
	Field string `json:"field,omitempty"`
	// From and To are the values in the form of the configuration: of the field, or of the whole thing for remove and add, without the modules and
	// instances of a cluster, which have changes of their own. A value that the configuration leaves out is nil.
	From json.RawMessage `json:"from,omitempty"`
	To   json.RawMessage `json:"to,omitempty"`
}

// Diff lists what is different, in the order of the configuration, removed things last. Things are found again by name. The order of listeners,
// clusters, modules and instances has no meaning, so a change of it alone is none; that of a list of values has (URLs, names, backup, patterns) and is one.
// Both configurations are valid ones, so that names are unique; they are not changed.
func Diff(from, to *Config) []Change {
	d := &differ{}
	byName := func(l *Listener) string { return l.Name }
	pairs(from.Listeners, to.Listeners, byName, func(a, b *Listener) { thing(d, Change{Kind: "listener"}, a, b, byName) })
	pairs(from.Clusters, to.Clusters, func(k *Cluster) string { return k.Name }, d.cluster)
	d.fields(Change{Op: "set", Kind: "group"}, "", reflect.ValueOf(*from), reflect.ValueOf(*to))
	return append(d.changes, d.removed...)
}

type differ struct{ changes, removed []Change }

// pairs calls visit for each thing of to with its like in from or nil, and then with nil for each thing of from that to lacks.
func pairs[T any](from, to []T, name func(*T) string, visit func(a, b *T)) {
	old := make(map[string]*T, len(from))
	for i := range from {
		old[name(&from[i])] = &from[i]
	}
	kept := make(map[string]bool, len(to))
	for i := range to {
		n := name(&to[i])
		kept[n] = true
		visit(old[n], &to[i])
	}
	for i := range from {
		if !kept[name(&from[i])] {
			visit(&from[i], nil)
		}
	}
}

// thing compares two that have the same name; one of them may be nil.
func thing[T any](d *differ, is Change, a, b *T, name func(*T) string) {
	named := a
	if named == nil {
		named = b
	}
	is.Name = name(named)
	switch {
	case a == nil:
		is.Op, is.To = "add", own(*b)
		d.changes = append(d.changes, is)
	case b == nil:
		is.Op, is.From = "remove", own(*a)
		d.removed = append(d.removed, is)
	default:
		is.Op = "set"
		d.fields(is, "", reflect.ValueOf(*a), reflect.ValueOf(*b))
	}
}

// cluster compares two clusters with what is in them. What leaves together with its cluster leaves before it.
func (d *differ) cluster(a, b *Cluster) {
	var before, after Cluster
	var name string
	if a != nil {
		before, name = *a, a.Name
	}
	if b != nil {
		after, name = *b, b.Name
	}
	named := func(k *Cluster) string { return k.Name }
	if b != nil {
		thing(d, Change{Kind: "cluster"}, a, b, named)
	}
	byKey := func(m *Module) string { return moduleKey(m.Host, m.ContextRoot) }
	pairs(before.Modules, after.Modules, byKey, func(x, y *Module) {
		m := x
		if m == nil {
			m = y
		}
		is := Change{Kind: "module", Cluster: name, Host: m.Host, ContextRoot: m.ContextRoot}
		thing(d, is, x, y, func(*Module) string { return "" })
	})
	byName := func(in *Instance) string { return in.Name }
	pairs(before.Instances, after.Instances, byName, func(x, y *Instance) { thing(d, Change{Kind: "instance", Cluster: name}, x, y, byName) })
	if b == nil {
		thing(d, Change{Kind: "cluster"}, a, b, named)
	}
}

// fields adds a change for each field that differs. is says what it belongs to.
func (d *differ) fields(is Change, prefix string, a, b reflect.Value) {
	for i := range a.NumField() {
		key, options, _ := strings.Cut(a.Type().Field(i).Tag.Get("json"), ",")
		x, y := a.Field(i), b.Field(i)
		switch x.Interface().(type) {
		case []Listener, []Cluster, []Module, []Instance:
			continue
		case *Template:
			if !x.IsNil() && !y.IsNil() {
				x, y = x.Elem(), y.Elem()
			}
		case *TLS, *HTTPSRedirect, *InstanceTLS, *Store, *ACME, *Compression:
			if !x.IsNil() && !y.IsNil() {
				x, y = x.Elem(), y.Elem()
			}
		}
		if x.Kind() == reflect.Struct {
			d.fields(is, prefix+key+".", x, y)
			continue
		}
		from, to := written(x, options), written(y, options)
		if !bytes.Equal(from, to) {
			is.Field, is.From, is.To = prefix+key, from, to
			d.changes = append(d.changes, is)
		}
	}
}

// written is a value in the form of the configuration; nil when it is left out there.
func written(v reflect.Value, options string) json.RawMessage {
	if options == "omitempty" && (v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0) {
		return nil
	}
	return encode(v.Interface())
}

// own is the JSON of a thing without those that have changes of their own.
func own(v any) json.RawMessage {
	k, ok := v.(Cluster)
	if !ok {
		return encode(v)
	}
	return encode(struct {
		Cluster
		Modules   *struct{} `json:"modules,omitempty"`
		Instances *struct{} `json:"instances,omitempty"`
	}{Cluster: k})
}
