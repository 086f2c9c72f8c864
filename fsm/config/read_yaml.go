package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// readYAML reads one YAML document without anchors, aliases, tags and directives.
func readYAML(p *problems, data []byte) *node {
	if n := countMarks(data); n > maxMarks {
		p.add(nil, "split the group, or write it in JSON", "the text has %d brackets, quotes, colons and the like, at most %d are read", n, maxMarks)
		return nil
	}
	tokens := lexer.Tokenize(string(data))
	scalars, ok := checkTokens(p, tokens)
	if !ok {
		return nil
	}
	file, err := parseTokens(tokens)
	if err != nil {
		reportSyntax(p, err)
		return nil
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		p.add(nil, "to remove everything, write: clusters: []", "the text is empty")
		return nil
	}
	r := &yamlReader{p: p}
	root := r.value(file.Docs[0].Body, 0)
	// The parser forgives some texts that YAML forbids and then leaves a part of them out. Nothing may be lost in
	// silence, so every scalar of the text must have arrived.
	if root != nil && r.scalars != scalars {
		p.add(nil, "check the indentation and the brackets", "not YAML: a part of the text belongs to no key")
		return nil
	}
	return root
}

// countMarks is an upper bound of the number of tokens, near enough.
func countMarks(data []byte) (n int) {
	for _, c := range data {
		if c < 0x80 && isMark[c] {
			n++
		}
	}
	return n
}

var isMark = func() (m [0x80]bool) {
	for _, c := range "[]{},:-?&*!|>'\"%@`#\n" {
		m[c] = true
	}
	return m
}()

// parseTokens keeps a panic of the library, which reads what anybody may send, from ending the node.
func parseTokens(tokens token.Tokens) (f *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the parser gave up (%v)", r)
		}
	}()
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

// reportSyntax avoids the error's own text: it quotes the source and is quadratic in its size.
func reportSyntax(p *problems, err error) {
	var syntax yaml.Error
	if !errors.As(err, &syntax) || syntax.GetToken() == nil {
		p.add(nil, "", "not YAML: %v", err)
		return
	}
	at := syntax.GetToken().Position
	p.addAt(at.Line, at.Column, nil, "", "not YAML: %s", clipTo(200, syntax.GetMessage()))
}

type yamlReader struct {
	p       *problems
	scalars int
}

// value gives nil after an error, which ends the reading.
func (r *yamlReader) value(v ast.Node, depth int) *node {
	if depth > maxDepth {
		return r.fail(v, "nested more than %d levels deep", maxDepth)
	}
	switch v := v.(type) {
	case *ast.MappingNode:
		return r.mapping(v, v.Values, depth)
	case *ast.MappingValueNode:
		return r.mapping(v, []*ast.MappingValueNode{v}, depth)
	case *ast.SequenceNode:
		n := place(v, kindList)
		for _, item := range v.Values {
			c := r.value(item, depth+1)
			if c == nil {
				return nil
			}
			n.items = append(n.items, c)
		}
		return n
	}
	return r.scalar(v)
}

func (r *yamlReader) mapping(v ast.Node, values []*ast.MappingValueNode, depth int) *node {
	n := place(v, kindMap)
	for i, mv := range values {
		key := r.scalar(mv.Key)
		if key == nil {
			return nil
		}
		if i == 0 && v.GetToken().Type != token.MappingStartType {
			n.line, n.column = key.line, key.column // the library gives the place of the colon
		}
		if len(n.pairs) >= maxKeys {
			return r.fail(mv.Key, "more than %d keys in one mapping", maxKeys)
		}
		value := r.value(mv.Value, depth+1)
		if value == nil {
			return nil
		}
		n.pairs = append(n.pairs, pair{key: key.text, line: key.line, column: key.column, value: value})
	}
	return n
}

var integer = regexp.MustCompile(`^[-+]?[0-9]+$`)

func (r *yamlReader) scalar(v ast.Node) *node {
	t := v.GetToken()
	n := place(v, kindString)
	switch v := v.(type) {
	case *ast.StringNode:
		n.text = v.Value
		if t.Type == token.StringType && integer.MatchString(n.text) {
			n.kind = kindNumber // the library takes what exceeds 64 bits for text
		}
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		n.kind, n.text = kindNumber, t.Value
	case *ast.BoolNode:
		n.kind, n.text = kindBool, map[bool]string{false: "false", true: "true"}[v.Value]
	case *ast.NullNode:
		n.kind, n.text = kindNull, t.Value
	default:
		return r.fail(v, "%s is not allowed here", strings.ToLower(v.Type().YAMLName()))
	}
	if isScalar(t.Type) {
		r.scalars++
	}
	return n
}

func (r *yamlReader) fail(v ast.Node, format string, args ...any) *node {
	at := v.GetToken().Position
	r.p.addAt(at.Line, at.Column, nil, "", format, args...)
	return nil
}

func place(v ast.Node, k kind) *node {
	at := v.GetToken().Position
	return &node{kind: k, line: at.Line, column: at.Column}
}
