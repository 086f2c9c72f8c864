package scenario

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	maxFile  = 64 << 10 // bytes
	maxMarks = 8000     // colons, brackets and the like: the parser is slow with very many
	maxDepth = 8
)

// Fault is one thing that is wrong with a file.
type Fault struct {
	File         string
	Line, Column int // from 1; 0: of the whole file
	Text         string
}

func (f Fault) Error() string {
	if f.Line == 0 {
		return f.File + ": " + f.Text
	}
	return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Text)
}

// Faults is everything that is wrong with a file, in order.
type Faults []Fault

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].Error()
	}
	return strings.Join(lines, "\n")
}

// maxFaults bounds what is told about one file.
const maxFaults = 50

// reader reads one file.
type reader struct {
	file   string
	faults Faults
}

func (r *reader) failAt(line, column int, format string, args ...any) {
	if len(r.faults) < maxFaults {
		r.faults = append(r.faults, Fault{r.file, line, column, clip(fmt.Sprintf(format, args...))})
	}
}

// fail notes what is wrong with a value.
func (r *reader) fail(n ast.Node, format string, args ...any) {
	at := n.GetToken().Position
	r.failAt(at.Line, at.Column, format, args...)
}

// clip keeps a message to one line of a bearable length, without control characters: it may quote the file.
func clip(text string) string {
	text = strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f && c < 0xa0 || c == 0x2028 || c == 0x2029 || c >= 0x202a && c <= 0x202e || c >= 0x2066 && c <= 0x2069 {
			return '?'
		}
		return c
	}, text)
	if len(text) > 400 {
		text = strings.ToValidUTF8(text[:400], "") + "..."
	}
	return text
}

// tree reads the text; nil after an error.
func (r *reader) tree(data []byte) ast.Node {
	switch {
	case len(data) > maxFile:
		r.failAt(0, 0, "larger than %d KiB", maxFile>>10)
		return nil
	case !utf8.Valid(data) || strings.ContainsRune(string(data), 0):
		r.failAt(0, 0, "is no UTF-8 text")
		return nil
	case strings.Count(string(data), "\n")+strings.Count(string(data), ":")+strings.Count(string(data), ",")+strings.Count(string(data), "[")+strings.Count(string(data), "{")+
		strings.Count(string(data), "-") > maxMarks:
		r.failAt(0, 0, "has too many entries for one scenario")
		return nil
	}
	tokens := lexer.Tokenize(string(data))
	if !r.plain(tokens) {
		return nil
	}
	file, err := parse(tokens)
	if err != nil {
		var syntax yaml.Error
		if errors.As(err, &syntax) && syntax.GetToken() != nil {
			at := syntax.GetToken().Position
			r.failAt(at.Line, at.Column, "not YAML: %s", syntax.GetMessage())
		} else {
			r.failAt(0, 0, "not YAML: %v", err)
		}
		return nil
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		r.failAt(0, 0, "want one document that is a scenario; it has %d", len(file.Docs))
		return nil
	}
	return file.Docs[0].Body
}

// plain refuses what a scenario has no use for and what makes reading unbounded.
func (r *reader) plain(tokens token.Tokens) bool {
	depth, columns := 0, []int{0}
	for _, t := range tokens {
		why := ""
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			why = "anchors, aliases and merge keys are not allowed: write the value out"
		case token.TagType, token.DirectiveType:
			why = "tags and directives are not allowed"
		case token.MappingKeyType:
			why = "explicit keys are not allowed: write key: value"
		case token.InvalidType:
			why = "not YAML: " + t.Error
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		}
		if column := t.Position.Column; depth == 0 && t.Type != token.CommentType {
			for columns[len(columns)-1] > column {
				columns = columns[:len(columns)-1]
			}
			if columns[len(columns)-1] < column && (t.Prev == nil || t.Prev.Position.Line < t.Position.Line || t.Prev.Type == token.SequenceEntryType) {
				columns = append(columns, column)
			}
		}
		if depth > maxDepth || depth < 0 || len(columns) > 2*maxDepth {
			why = fmt.Sprintf("brackets that do not fit, or more than %d levels", maxDepth)
		}
		if why != "" {
			r.failAt(t.Position.Line, t.Position.Column, "%s", why)
			return false
		}
	}
	return true
}

// parse keeps a panic of the library, which reads what anybody may write, from ending the program.
func parse(tokens token.Tokens) (f *ast.File, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the parser gave up (%v)", v)
		}
	}()
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

// field is a key that a mapping may have, and what reads its value.
type field struct {
	key  string
	read func(ast.Node)
}

// object reads a mapping with these keys, each at most once.
func (r *reader) object(n ast.Node, what string, fields ...field) {
	var pairs []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		r.fail(n, "%s: want keys and values", what)
		return
	}
	seen := map[string]bool{}
	for _, p := range pairs {
		key := p.Key.GetToken().Value
		switch f := find(fields, key); {
		case f == nil:
			r.fail(p.Key, "%s has no key %q; it has %s", what, key, names(fields))
		case seen[key]:
			r.fail(p.Key, "%s has the key %q twice", what, key)
		case p.Value == nil || p.Value.Type() == ast.NullType:
			r.fail(p.Key, "%q has no value", key)
		default:
			f.read(p.Value)
		}
		seen[key] = true
	}
}

func find(fields []field, key string) *field {
	for i := range fields {
		if fields[i].key == key {
			return &fields[i]
		}
	}
	return nil
}

func names(fields []field) string {
	var list []string
	for _, f := range fields {
		list = append(list, f.key)
	}
	return strings.Join(list, ", ")
}

// list reads each item of a list.
func (r *reader) list(n ast.Node, read func(ast.Node)) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		r.fail(n, "want a list")
		return
	}
	for _, item := range s.Values {
		if item == nil || item.Type() == ast.NullType {
			r.fail(n, "the list has an item without a value")
			continue
		}
		read(item)
	}
}

// scalar gives the text of a plain value; ok is false after an error.
func (r *reader) scalar(n ast.Node) (text string, ok bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return strings.TrimSpace(n.Value.Value), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	r.fail(n, "want one value")
	return "", false
}
