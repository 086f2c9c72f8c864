package markup

import (
	"fmt"
	"strings"

	"github.com/holdfast-lb/holdfast/migrate/report"
)

// Bounds of what is read. The formats nest six levels deep and large installations have a few thousand elements.
const (
	MaxInput    = 8 << 20 // bytes
	maxDepth    = 32
	maxElements = 100_000
	maxAttrs    = 64 // of one element
	maxName     = 256
	maxValue    = 64 << 10 // bytes
)

// Document is one file.
type Document struct {
	Root    *Node
	Doctype *Doctype // nil: none
}

// Doctype is the declaration that names the definition of the format.
type Doctype struct {
	Name, PublicID, SystemID string
	Line, Column             int
	Mark                     report.Mark
}

// Node is an element.
type Node struct {
	Name         string
	Line, Column int // of its <
	Attrs        []*Attr
	Children     []*Node
	// Text is the character data directly in it, without white space around it; TextLine and TextColumn are where it begins.
	Text                 string
	TextLine, TextColumn int
	Mark                 report.Mark
}

// Attr is an attribute.
type Attr struct {
	Name, Value  string
	Line, Column int // of its name
	// Secret keeps the value out of the report.
	Secret bool
	Mark   report.Mark
}

// Attr gives the attribute of that name, or nil.
func (n *Node) Attr(name string) *Attr {
	for _, a := range n.Attrs {
		if a.Name == name {
			return a
		}
	}
	return nil
}

// All gives the children of that name.
func (n *Node) All(name string) []*Node {
	var out []*Node
	for _, c := range n.Children {
		if c.Name == name {
			out = append(out, c)
		}
	}
	return out
}

// IsNamespace tells whether an attribute only says where names come from.
func IsNamespace(name string) bool {
	return name == "xmlns" || strings.HasPrefix(name, "xmlns:") || strings.HasPrefix(name, "xsi:")
}

// IgnoreAll says of an element and of everything in it that nothing comes of it.
func (n *Node) IgnoreAll(format string, args ...any) {
	n.Mark.Ignore(format, args...)
	for _, a := range n.Attrs {
		a.Mark.Ignore(format, args...)
	}
	for _, c := range n.Children {
		c.IgnoreAll(format, args...)
	}
}

// Report lists the whole document in its order, each thing once.
func (d *Document) Report(file string) []report.Entry {
	var out []report.Entry
	if t := d.Doctype; t != nil {
		out = append(out, t.Mark.Entry(file, t.Line, t.Column, "<!DOCTYPE>", t.SystemID))
	}
	return d.Root.report(file, out)
}

func (n *Node) report(file string, out []report.Entry) []report.Entry {
	out = append(out, n.Mark.Entry(file, n.Line, n.Column, "<"+n.Name+">", ""))
	for _, a := range n.Attrs {
		value := a.Value
		if a.Secret {
			value = "***"
		}
		out = append(out, a.Mark.Entry(file, a.Line, a.Column, n.Name+"."+a.Name, value))
	}
	for _, c := range n.Children {
		out = c.report(file, out)
	}
	return out
}

// Marks lists the decisions about everything in the document.
func (d *Document) Marks() []*report.Mark {
	var out []*report.Mark
	var walk func(n *Node)
	walk = func(n *Node) {
		out = append(out, &n.Mark)
		for _, a := range n.Attrs {
			out = append(out, &a.Mark)
		}
		for _, c := range n.Children {
			walk(c)
		}
	}
	walk(d.Root)
	return out
}

// Error is why a file cannot be read.
type Error struct {
	Line, Column int
	Message      string
}

func (e *Error) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Message) }

// Entry makes it the only line of a report.
func (e *Error) Entry(file string) report.Entry {
	return report.Entry{File: file, Line: e.Line, Column: e.Column, What: "file", Status: report.Error, Why: e.Message}
}
