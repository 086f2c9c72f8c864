package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// decoder turns the tree into values. It checks types and keys; what the values mean is validate's business.
type decoder struct {
	p *problems
	// lenient ignores keys that this version does not know.
	lenient bool
	// resets has a null stand for a key that is not there, so that the value gets its default.
	resets bool
}

// field is a key of a mapping and what becomes of its value.
type field struct {
	key  string
	into func(n *node, at *path)
}

// object reads a mapping; what is absent keeps its default. A mapping that is nothing ("health:" with all of its keys
// commented out) counts as absent.
func (d decoder) object(n *node, at *path, fields []field) {
	if n.kind == kindNull {
		return
	}
	if n.kind != kindMap {
		d.p.addAt(n.line, n.column, at, "write key: value", "must be a mapping, this is %s", n.kind)
		return
	}
	for i := range n.pairs {
		kv := &n.pairs[i]
		if first := firstOf(n.pairs[:i], kv.key); first != nil {
			d.p.addAt(kv.line, kv.column, at.child(safeKey(kv.key)), "keep one of them", "key %.40q is there twice%s", kv.key, firstLine(first.line))
			continue
		}
		f := fieldOf(fields, kv.key)
		if f == nil && d.lenient || f != nil && d.resets && kv.value.kind == kindNull {
			continue
		}
		if f == nil {
			d.p.addAt(kv.line, kv.column, at.child(safeKey(kv.key)), suggest(kv.key, fields, at == nil), "unknown key %.40q", kv.key)
			continue
		}
		f.into(kv.value, at.child(kv.key))
	}
}

func firstLine(line int) string {
	if line == 0 {
		return ""
	}
	return fmt.Sprintf(", first in line %d", line)
}

func firstOf(pairs []pair, key string) *pair {
	for i := range pairs {
		if pairs[i].key == key {
			return &pairs[i]
		}
	}
	return nil
}

func fieldOf(fields []field, key string) *field {
	for i := range fields {
		if fields[i].key == key {
			return &fields[i]
		}
	}
	return nil
}

// list reads a list; nothing at all counts as an empty one, since that is how an empty list of Go looks in JSON.
func (d decoder) list(item func(n *node, at *path)) func(n *node, at *path) {
	return func(n *node, at *path) {
		switch n.kind {
		case kindNull:
		case kindList:
			for i, v := range n.items {
				if d.p.full() {
					d.p.more = true
					return
				}
				item(v, at.item(i))
			}
		default:
			d.p.addAt(n.line, n.column, at, "write [a, b] or lines that begin with -", "must be a list, this is %s", n.kind)
		}
	}
}

// want reports a value of the wrong kind.
func (d decoder) want(k kind, n *node, at *path) bool {
	if n.kind == k {
		return true
	}
	hint := ""
	switch {
	case n.kind == kindNull:
		d.p.addAt(n.line, n.column, at, "give it one, or remove the key to get the default", "has no value")
		return false
	case k == kindString && (n.kind == kindNumber || n.kind == kindBool):
		hint = "put it in quotes: " + strconv.Quote(clip(n.text))
	case k == kindString && n.kind == kindMap:
		hint = "put it in quotes: a colon in it was taken for the end of a key"
	case k == kindNumber && n.kind == kindString:
		hint = "write digits without quotes"
	case k == kindBool && n.kind == kindString:
		hint = "write true or false, without quotes"
	}
	d.p.addAt(n.line, n.column, at, hint, "must be %s, this is %s", k, n.kind)
	return false
}

func (d decoder) text(dst *string) func(n *node, at *path) {
	return func(n *node, at *path) {
		if d.want(kindString, n, at) {
			*dst = n.text
		}
	}
}

func (d decoder) texts(dst *[]string) func(n *node, at *path) {
	return d.list(func(n *node, at *path) {
		var s string
		d.text(&s)(n, at)
		*dst = append(*dst, s)
	})
}

func (d decoder) boolean(dst *bool) func(n *node, at *path) {
	return func(n *node, at *path) {
		if d.want(kindBool, n, at) {
			*dst = n.text == "true"
		}
	}
}

var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

func (d decoder) integer(dst *int) func(n *node, at *path) {
	return func(n *node, at *path) {
		if !d.want(kindNumber, n, at) {
			return
		}
		if !decimal.MatchString(n.text) {
			d.p.addAt(n.line, n.column, at, "write it in decimal digits, without zeros in front", "%s is not a whole number", clip(n.text))
			return
		}
		v, err := strconv.ParseInt(n.text, 10, 32)
		if err != nil {
			d.p.addAt(n.line, n.column, at, "", "%s is out of range", clip(n.text))
			return
		}
		*dst = int(v)
	}
}

func (d decoder) duration(dst *Duration) func(n *node, at *path) {
	return func(n *node, at *path) {
		if n.kind == kindNumber {
			d.p.addAt(n.line, n.column, at, "write "+clip(n.text)+"s for seconds or "+clip(n.text)+"m for minutes", "a duration needs a unit")
			return
		}
		if !d.want(kindString, n, at) {
			return
		}
		v, err := time.ParseDuration(n.text)
		if err != nil || len(n.text) > 30 {
			d.p.addAt(n.line, n.column, at, "write a number with a unit, as in 30s, 31m or 1h30m", "%q is not a duration", clip(n.text))
			return
		}
		if Duration(v) == unset { // which has a meaning of its own
			d.p.addAt(n.line, n.column, at, "", "%v is out of range", v)
			return
		}
		*dst = Duration(v)
	}
}

func (d decoder) size(dst *Size) func(n *node, at *path) {
	return func(n *node, at *path) {
		if n.kind != kindNumber && !d.want(kindString, n, at) {
			return
		}
		v, err := ParseSize(n.text)
		if err != nil || len(n.text) > 30 {
			d.p.addAt(n.line, n.column, at, "write a number of bytes, as in 65536, 64KiB or 1MiB", "%q is not a size", clip(n.text))
			return
		}
		*dst = v
	}
}

// safeKey is a key as it may stand in a path.
func safeKey(key string) string {
	if validName(key) {
		return clip(key)
	}
	return strconv.Quote(clip(key))
}

// clip shortens what is quoted from the text.
func clip(s string) string { return clipTo(60, s) }

func clipTo(most int, s string) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
