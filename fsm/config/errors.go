package config

import (
	"fmt"
	"sort"
	"strings"
)

// maxErrors bounds a report; nobody reads more, and the rest mostly follows from the first.
const maxErrors = 100

// Error is one thing that is wrong with a configuration.
type Error struct {
	// File is the name that was given to Parse, "" from Validate.
	File string `json:"file,omitempty"`
	// Line and Column count from 1; 0 when there is no text (Validate) or no place.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// Path names the value, as in clusters[0].instances[2].weight; "" for the whole text.
	Path    string `json:"path,omitempty"`
	Message string `json:"message"`
	// Hint says what to do; it may be empty.
	Hint string `json:"hint,omitempty"`
}

// Error gives "file:line:column: path: message - hint".
func (e Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File + ":")
	}
	if e.Line > 0 {
		fmt.Fprintf(&b, "%d:%d:", e.Line, e.Column)
	}
	if b.Len() > 0 {
		b.WriteByte(' ')
	}
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(e.Message)
	if e.Hint != "" {
		b.WriteString(" - " + e.Hint)
	}
	return b.String()
}

// Errors is everything that is wrong, in the order of the text: at most 100 entries, and one that says that there are
// more.
type Errors []Error

// Error gives one line for each.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// path is the place of a value, as a list from the leaf to the root: it costs nothing until it is printed.
type path struct {
	up    *path
	key   string
	index int // when key is ""
}

func (p *path) child(key string) *path { return &path{up: p, key: key} }
func (p *path) item(i int) *path       { return &path{up: p, index: i} }

func (p *path) String() string {
	switch {
	case p == nil:
		return ""
	case p.key == "":
		return fmt.Sprintf("%s[%d]", p.up, p.index)
	case p.up == nil:
		return p.key
	}
	return p.up.String() + "." + p.key
}

// problems gathers errors. With a tree it finds their places in the text.
type problems struct {
	file string
	root *node
	list Errors
	more bool            // not everything was looked at
	seen map[string]bool // by the path that is shown
}

// add reports what is wrong with the value at. One value has one error: the first.
func (p *problems) add(at *path, hint, format string, args ...any) {
	var line, column int
	if n := p.root.find(at); n != nil {
		line, column = n.line, n.column
	}
	p.addAt(line, column, at, hint, format, args...)
}

func (p *problems) addAt(line, column int, at *path, hint, format string, args ...any) {
	if p.full() {
		p.more = true
		return
	}
	at = p.shown(at)
	if p.known(at) {
		return
	}
	e := Error{File: p.file, Line: line, Column: column, Path: at.String(), Message: fmt.Sprintf(format, args...), Hint: hint}
	if p.seen == nil {
		p.seen = map[string]bool{}
	}
	if at != nil {
		p.seen[e.Path] = true
	}
	p.list = append(p.list, e)
}

// full tells whether it is time to stop looking: there may be hundreds of thousands.
func (p *problems) full() bool { return len(p.list) >= maxErrors }

// shown is the path by which a value is named: that of the edit that it comes from, if it comes from one.
func (p *problems) shown(at *path) *path {
	if at == nil {
		return nil
	}
	if n := p.root.at(at); n != nil && n.from != nil {
		return n.from
	}
	up := p.shown(at.up)
	if up == at.up {
		return at
	}
	return &path{up: up, key: at.key, index: at.index}
}

// known tells whether the value, or one that it is a part of, has its error already. It expects a path that is shown.
func (p *problems) known(at *path) bool {
	for ; at != nil && len(p.seen) > 0; at = at.up {
		if p.seen[at.String()] {
			return true
		}
	}
	return false
}

// where names another place in a message: by line when there is a text.
func (p *problems) where(at *path) string {
	if n := p.root.find(at); n != nil && n.line > 0 {
		return fmt.Sprintf("%s in line %d", at, n.line)
	}
	return p.shown(at).String()
}

func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	sort.SliceStable(p.list, func(i, j int) bool {
		a, b := p.list[i], p.list[j]
		return a.Line < b.Line || a.Line == b.Line && a.Column < b.Column
	})
	if p.more {
		p.list = append(p.list, Error{File: p.file, Message: "there may be more errors", Hint: "correct these first"})
	}
	return p.list
}
