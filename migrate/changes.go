package migrate

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// Change is one difference between two configurations.
type Change struct {
	// Path names the value, with the names of things in place of indexes: clusters[cluster1].instances[instance1].weight.
	Path string `json:"path"`
	// From and To are JSON; "" for what is not there.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// String gives "+ path: value", "- path: value" or "~ path: from -> to".
func (c Change) String() string {
	switch {
	case c.From == "":
		return fmt.Sprintf("+ %s: %s", c.Path, c.To)
	case c.To == "":
		return fmt.Sprintf("- %s: %s", c.Path, c.From)
	}
	return fmt.Sprintf("~ %s: %s -> %s", c.Path, c.From, c.To)
}

// Changes lists what is different in to, in the order of names. Things are found again by their names; their order alone is no change.
func Changes(from, to *config.Config) []Change {
	var out []Change
	compare(treeOf(from), treeOf(to), "", &out)
	return out
}

func compare(from, to any, path string, out *[]Change) {
	if reflect.DeepEqual(from, to) {
		return
	}
	f, fMap := from.(map[string]any)
	t, tMap := to.(map[string]any)
	if fMap && tMap {
		for _, key := range sorted(union(f, t)) {
			p := key
			if path != "" {
				p = path + "." + key
			}
			compare(f[key], t[key], p, out)
		}
		return
	}
	fl, fList := from.([]any)
	tl, tList := to.([]any)
	if fList && tList && named(fl, tl) {
		compareLists(fl, tl, path, out)
		return
	}
	c := Change{Path: path}
	if from != nil {
		c.From = compact(from)
	}
	if to != nil {
		c.To = compact(to)
	}
	*out = append(*out, c)
}

func compareLists(from, to []any, path string, out *[]Change) {
	for _, v := range to {
		old, _ := find(from, nameOf(v))
		compare(old, v, fmt.Sprintf("%s[%s]", path, nameOf(v)), out)
	}
	for _, v := range from {
		if _, has := find(to, nameOf(v)); !has {
			compare(v, nil, fmt.Sprintf("%s[%s]", path, nameOf(v)), out)
		}
	}
}

func sorted(keys map[string]bool) []string {
	list := make([]string, 0, len(keys))
	for k := range keys {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}
