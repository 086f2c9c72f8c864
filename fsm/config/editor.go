package config

import (
	"slices"
	"strings"
)

// editor makes edits to the tree of a configuration. What it puts there remembers which edit it comes from.
type editor struct {
	p    *problems
	root *node
	// index finds the items of a list by key; it is made when it is first needed.
	index map[*node]map[string]*node
	// gone are the items that close takes out of their lists.
	gone  map[*node]bool
	bytes int // of all values so far
}

// edit makes one edit, or reports what is wrong with it.
func (e *editor) edit(at *path, ed *Edit) {
	if !e.named(at, ed) {
		return
	}
	values, ok := e.values(at, ed)
	if !ok {
		return
	}
	if ed.Kind == "group" {
		merge(e.root, values, at.child("values"))
		return
	}
	list, ok := e.listOf(at, ed)
	if !ok {
		return
	}
	item := e.find(list, ed.key())
	if ed.Op == "add" {
		if item != nil {
			e.p.add(at, "to change it, use set", "there is %s already", ed.subject())
			return
		}
		e.add(at, ed, list, values)
		return
	}
	if item == nil {
		e.p.add(at, meant(ed.key(), e.keys(list)), "there is no %s", ed.subject())
		return
	}
	switch ed.Op {
	case "set":
		merge(item, values, at.child("values"))
	case "enable", "disable":
		e.enable(at, item, ed)
	case "remove":
		e.gone[item] = true
		delete(e.index[list], ed.key())
	}
}

// listOf gives the list that the subject is in.
func (e *editor) listOf(at *path, ed *Edit) (list *node, ok bool) {
	switch ed.Kind {
	case "listener":
		return e.list(e.root, "listeners"), true
	case "cluster":
		return e.list(e.root, "clusters"), true
	}
	clusters := e.list(e.root, "clusters")
	k := e.find(clusters, ed.Cluster)
	if k == nil {
		e.p.add(at.child("cluster"), meant(ed.Cluster, e.keys(clusters)), "there is no cluster %q", clip(ed.Cluster))
		return nil, false
	}
	return e.list(k, ed.Kind+"s"), true
}

func (e *editor) add(at *path, ed *Edit, list, values *node) {
	item := &node{kind: kindMap, from: at.child("values")}
	e.copyTemplate(at.child("values").child("template"), ed, list, item, values)
	merge(item, values, at.child("values"))
	identity := func(key, text string) {
		item.set(key, &node{kind: kindString, text: text, from: at.child(key)})
	}
	if ed.Kind == "module" {
		identity("host", ed.Host)
		identity("contextRoot", ed.ContextRoot)
	} else {
		identity("name", ed.Name)
	}
	list.items = append(list.items, item)
	if index := e.index[list]; index != nil {
		index[ed.key()] = item
	}
}

// copyTemplate puts into an item that is added what its template has, and takes the template out of the values.
func (e *editor) copyTemplate(at *path, ed *Edit, list, item, values *node) {
	kv := firstOf(values.pairs, "template")
	if kv == nil || ed.Kind != "instance" && ed.Kind != "cluster" {
		return
	}
	name := kv.value.text
	values.drop("template")
	switch t := e.find(list, name); {
	case t == nil && ed.Kind == "cluster":
		e.p.add(at, meant(name, e.keys(list)), "there is no cluster %q", clip(name))
	case t == nil:
		e.p.add(at, meant(name, e.keys(list)), "cluster %q has no instance %q", clip(ed.Cluster), clip(name))
	case ed.Kind == "cluster":
		item.pairs = e.copyOf(t).pairs
		item.drop("name", "instances")
	default:
		item.pairs = e.copyOf(t).pairs
		item.drop("name", "listeners", "route")
	}
}

// copyOf copies a part of the tree without what has been removed, so that later edits of the copy change nothing else.
func (e *editor) copyOf(n *node) *node {
	c := *n
	c.pairs, c.items = slices.Clone(n.pairs), nil
	for i := range c.pairs {
		c.pairs[i].value = e.copyOf(c.pairs[i].value)
	}
	for _, item := range n.items {
		if !e.gone[item] {
			c.items = append(c.items, e.copyOf(item))
		}
	}
	return &c
}

func (e *editor) enable(at *path, item *node, ed *Edit) {
	items := []*node{item}
	if ed.Kind == "cluster" {
		items = e.list(item, "instances").items
	}
	text := map[string]string{"enable": "true", "disable": "false"}[ed.Op]
	for _, n := range items {
		n.set("enabled", &node{kind: kindBool, text: text, from: at})
	}
}

// close takes out what has been removed.
func (e *editor) close() {
	if len(e.gone) == 0 {
		return
	}
	remove := func(list *node) {
		list.items = slices.DeleteFunc(list.items, func(n *node) bool { return e.gone[n] })
	}
	remove(e.list(e.root, "listeners"))
	clusters := e.list(e.root, "clusters")
	remove(clusters)
	for _, k := range clusters.items {
		remove(e.list(k, "modules"))
		remove(e.list(k, "instances"))
	}
}

// list gives the list under a key; one that is not there is made.
func (e *editor) list(n *node, key string) *node {
	kv := firstOf(n.pairs, key)
	if kv != nil && kv.value.kind != kindNull {
		return kv.value // of another kind, it has no items and has its error already
	}
	made := &node{kind: kindList}
	n.set(key, made)
	return made
}

func (e *editor) find(list *node, key string) *node {
	index := e.index[list]
	if index == nil {
		index = map[string]*node{}
		for _, n := range list.items {
			index[keyOf(n)] = n
		}
		e.index[list] = index
	}
	return index[key]
}

// keys lists what there is, for hints.
func (e *editor) keys(list *node) (keys []string) {
	for _, n := range list.items {
		if !e.gone[n] {
			keys = append(keys, keyOf(n))
		}
	}
	return keys
}

// key finds the subject in its list. A module's is its host and its context root, which begins with a slash.
func (ed *Edit) key() string {
	if ed.Kind == "module" {
		return moduleKey(ed.Host, ed.ContextRoot)
	}
	return ed.Name
}

func keyOf(n *node) string {
	if root := n.get("contextRoot"); root != "" {
		return moduleKey(n.get("host"), root)
	}
	return n.get("name")
}

func moduleKey(host, root string) string { return strings.ToLower(host) + trimRoot(root) }

// merge puts values into a mapping: field by field where both are mappings.
func merge(into, values *node, at *path) {
	for _, kv := range values.pairs {
		at := at.child(kv.key)
		if old := firstOf(into.pairs, kv.key); old != nil && old.value.kind == kindMap && kv.value.kind == kindMap {
			merge(old.value, kv.value, at)
			old.value.from = at // what does not go together in it is this edit's doing
			continue
		}
		kv.value.from = at
		into.set(kv.key, kv.value)
	}
}
