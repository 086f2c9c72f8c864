package config

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
