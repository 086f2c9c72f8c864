package websphere

import (
	"strings"

	"github.com/holdfast-lb/holdfast/migrate/build"
	"github.com/holdfast-lb/holdfast/migrate/markup"
	"github.com/holdfast-lb/holdfast/migrate/report"
)

func clip(s string) string { return report.Clip(s) }

// noText refuses character data: this format has none.
func noText(n *markup.Node) {
	if n.Text != "" {
		n.Mark.Fail("there is text in it: %q in line %d, column %d; the format has only elements here", clip(n.Text), n.TextLine, n.TextColumn)
	}
}

// required gives the attribute, or fails the element.
func required(n *markup.Node, name string) *markup.Attr {
	a := n.Attr(name)
	if a == nil {
		n.Mark.Fail("the attribute %s is missing", name)
	}
	return a
}

// number reads an attribute into key; def is for one that is not there or wrong.
func number(a *markup.Attr, def, low, high int, key string) int {
	if a == nil {
		return def
	}
	v, ok := build.Int(a.Value, &a.Mark, low, high)
	if !ok {
		return def
	}
	a.Mark.Map("%s", key)
	return v
}

func secret(name string) bool {
	name = strings.ToLower(name)
	return strings.Contains(name, "password") || strings.Contains(name, "secret")
}
