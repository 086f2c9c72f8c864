package config

import "slices"

// kind is what a value of the text is, before anybody asks what it should be.
type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindNumber // text is as written
	kindString
	kindList
	kindMap
)

func (k kind) String() string {
	return [...]string{"nothing", "true or false", "a number", "text", "a list", "a mapping"}[k]
}

// node is a value of the text: what YAML and JSON have in common, with its place.
type node struct {
	kind         kind
	line, column int // from 1
	text         string
	items        []*node // of a list
	pairs        []pair  // of a mapping, in order, duplicates included
	from         *path   // in the edits, when it comes from one
}

type pair struct {
	key          string
	line, column int
	value        *node
}

// find gives the node at p, or the nearest one around it.
func (n *node) find(p *path) *node {
	if n == nil || p == nil {
		return n
	}
	around := n.find(p.up)
	if p.key == "" {
		if around.kind == kindList && p.index < len(around.items) {
			return around.items[p.index]
		}
		return around
	}
	for i := range around.pairs {
		if around.pairs[i].key == p.key {
			return around.pairs[i].value
		}
	}
	return around
}

// at gives the node at p, nil when there is none.
func (n *node) at(p *path) *node {
	if n == nil || p == nil {
		return n
	}
	up := n.at(p.up)
	switch {
	case up == nil:
		return nil
	case p.key == "":
		if p.index < len(up.items) {
			return up.items[p.index]
		}
	default:
		if kv := firstOf(up.pairs, p.key); kv != nil {
			return kv.value
		}
	}
	return nil
}

// set puts a value under a key of a mapping, in the place of the one that is there.
func (n *node) set(key string, value *node) {
	if kv := firstOf(n.pairs, key); kv != nil {
		kv.value = value
		return
	}
	n.pairs = append(n.pairs, pair{key: key, value: value})
}

// drop takes a key out of a mapping.
func (n *node) drop(keys ...string) {
	n.pairs = slices.DeleteFunc(n.pairs, func(kv pair) bool { return slices.Contains(keys, kv.key) })
}

// get gives the text under a key, "" when there is none.
func (n *node) get(key string) string {
	if kv := firstOf(n.pairs, key); kv != nil {
		return kv.value.text
	}
	return ""
}
