package migrate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// treeOf gives a configuration as the values of its JSON form.
func treeOf(c *config.Config) map[string]any {
	var tree map[string]any
	dec := json.NewDecoder(bytes.NewReader(c.Canonical()))
	dec.UseNumber()
	if err := dec.Decode(&tree); err != nil {
		panic("BUG: canonical JSON cannot be read: " + err.Error())
	}
	return tree
}

// nameOf gives the name by which an item of a list is found again, "" for one without: listeners, clusters and instances have theirs, modules are
// named by host and context root, patterns by themselves.
func nameOf(v any) string {
	m, ok := v.(map[string]any)
	if !ok {
		return ""
	}
	if root, ok := m["contextRoot"].(string); ok {
		host, _ := m["host"].(string)
		return host + root
	}
	for _, key := range []string{"name", "pattern"} {
		if name, ok := m[key].(string); ok {
			return name
		}
	}
	return ""
}

// named tells whether the items of both lists have names, so that they can be told apart.
func named(lists ...[]any) bool {
	for _, list := range lists {
		seen := map[string]bool{}
		for _, v := range list {
			name := nameOf(v)
			if name == "" || seen[name] {
				return false
			}
			seen[name] = true
		}
	}
	return true
}

func find(list []any, name string) (any, bool) {
	for _, v := range list {
		if nameOf(v) == name {
			return v, true
		}
	}
	return nil, false
}

// merge3 gives current with what is different between base and next.
func merge3(base, current, next any) any {
	switch {
	case reflect.DeepEqual(base, next):
		return current
	case reflect.DeepEqual(base, current):
		return next
	}
	b, bMap := base.(map[string]any)
	c, cMap := current.(map[string]any)
	n, nMap := next.(map[string]any)
	if bMap && cMap && nMap {
		out := map[string]any{}
		for key := range union(c, n) {
			v := merge3(b[key], c[key], n[key])
			if v != nil {
				out[key] = v
			}
		}
		return out
	}
	bl, bList := base.([]any)
	cl, cList := current.([]any)
	nl, nList := next.([]any)
	if bList && cList && nList && named(bl, cl, nl) {
		return mergeLists(bl, cl, nl)
	}
	return next
}

// mergeLists keeps the order of current; what is new stands behind it.
func mergeLists(base, current, next []any) []any {
	out := []any{}
	for _, c := range current {
		b, inBase := find(base, nameOf(c))
		n, inNext := find(next, nameOf(c))
		switch {
		case inBase && !inNext: // taken out
		case inNext && inBase:
			out = append(out, merge3(b, c, n))
		case inNext: // both added it: what is being applied counts
			out = append(out, n)
		default:
			out = append(out, c)
		}
	}
	for _, n := range next {
		name := nameOf(n)
		if _, has := find(current, name); has {
			continue
		}
		// An item that somebody took out by hand and that the files have not changed stays out.
		if b, inBase := find(base, name); inBase && reflect.DeepEqual(b, n) {
			continue
		}
		out = append(out, n)
	}
	return out
}

func union(a, b map[string]any) map[string]bool {
	keys := map[string]bool{}
	for k := range a {
		keys[k] = true
	}
	for k := range b {
		keys[k] = true
	}
	return keys
}

// compact gives a value as JSON on one line.
func compact(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
