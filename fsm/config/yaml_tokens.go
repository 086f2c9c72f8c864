package config

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/token"
)

// checkTokens looks at the text's tokens before the parser does. It refuses what a configuration has no use for and
// what makes reading unbounded: anchors and aliases (the YAML bomb), tags, merge keys, explicit keys, further documents,
// deep nesting (the parser recurses) and mappings of many keys (it is quadratic in them). It counts the scalars.
func checkTokens(p *problems, tokens token.Tokens) (scalars int, ok bool) {
	var c tokenChecker
	for _, t := range tokens {
		if why, hint := c.refuse(t); why != "" {
			p.addAt(t.Position.Line, t.Position.Column, nil, hint, "%s", why)
			return 0, false
		}
		if isScalar(t.Type) {
			c.scalars++
		}
		if t.Type != token.CommentType {
			c.prev, c.any = t, true
		}
	}
	return c.scalars, true
}

type tokenChecker struct {
	prev      *token.Token // the last one that is no comment
	any       bool
	ended     bool
	nothings  int
	keyColumn int // of the last block key
	scalars   int
	flow      []bracket
	block     []level
}

// bracket is an open [ or {, with the keys so far.
type bracket struct {
	mapping bool
	keys    int
}

// level is an open block mapping or list, by its column.
type level struct{ column, keys int }

func (c *tokenChecker) refuse(t *token.Token) (why, hint string) {
	if c.missesValue(t) {
		if c.nothings++; c.nothings > maxNothings {
			return fmt.Sprintf("more than %d keys or items have no value", maxNothings), "remove them or give them one"
		}
	}
	if c.ended && t.Type != token.CommentType {
		return "a second document", "put everything into one"
	}
	switch t.Type {
	case token.AnchorType, token.AliasType, token.MergeKeyType:
		return "anchors, aliases and merge keys are not allowed", "write the value out; a cluster's values are the defaults of what is in it"
	case token.TagType, token.DirectiveType:
		return "tags and directives are not allowed", "remove it"
	case token.LiteralType, token.FoldedType:
		return "block text (| or >) is not allowed", "no value has several lines; write it behind its key"
	case token.MappingKeyType:
		return "explicit keys are not allowed", "write key: value"
	case token.DocumentHeaderType:
		if c.any {
			return "a second document", "put everything into one"
		}
	case token.DocumentEndType:
		c.ended = true
	case token.InvalidType:
		if strings.Contains(t.Error, "\t") {
			return "not YAML: a tab cannot stand here", "indent with spaces"
		}
		return "not YAML: " + clipTo(200, t.Error), ""
	case token.SequenceStartType, token.MappingStartType:
		c.flow = append(c.flow, bracket{mapping: t.Type == token.MappingStartType})
	case token.CollectEntryType:
		// A comma ends a key also where no colon has been ("{a, b}").
		if n := len(c.flow); n > 0 && c.flow[n-1].mapping {
			if c.flow[n-1].keys++; c.flow[n-1].keys > 2*maxKeys {
				return "more than 64 keys in one mapping", ""
			}
		}
	case token.SequenceEndType, token.MappingEndType:
		if len(c.flow) == 0 {
			return "not YAML: a closing bracket without an opening one", ""
		}
		c.flow = c.flow[:len(c.flow)-1]
	case token.SequenceEntryType:
		c.enter(t.Position.Column)
	case token.MappingValueType:
		if c.key() > maxKeys {
			return "more than 64 keys in one mapping", ""
		}
	}
	if len(c.flow)+len(c.block) > maxDepth {
		return "nested more than 32 levels deep", ""
	}
	return "", ""
}

// missesValue tells whether the key or item before t may be without a value: t stands on a later line and not further to
// the right. The parser makes room for each in the middle of its tokens, so their number has to be bounded.
func (c *tokenChecker) missesValue(t *token.Token) bool {
	if c.prev == nil || len(c.flow) > 0 || t.Type == token.CommentType || t.Position.Line == c.prev.Position.Line {
		return false
	}
	switch c.prev.Type {
	case token.SequenceEntryType:
		return t.Position.Column <= c.prev.Position.Column
	case token.MappingValueType:
		return t.Position.Column <= c.keyColumn
	}
	return false
}

// key counts the key whose colon has been reached and gives the number of keys of its mapping.
func (c *tokenChecker) key() int {
	if n := len(c.flow); n > 0 {
		c.flow[n-1].keys++
		return (c.flow[n-1].keys + 1) / 2 // commas count too
	}
	column := 1
	if c.prev != nil {
		column = c.prev.Position.Column
	}
	c.keyColumn = column
	c.enter(column)
	top := &c.block[len(c.block)-1]
	top.keys++
	return top.keys
}

// enter closes the block levels to the right of column and opens one there if there is none. A list may stand in the
// column of the key that it belongs to; the two then count as one level, which is near enough for a bound.
func (c *tokenChecker) enter(column int) {
	for n := len(c.block); n > 0 && c.block[n-1].column > column; n-- {
		c.block = c.block[:n-1]
	}
	if n := len(c.block); n == 0 || c.block[n-1].column < column {
		c.block = append(c.block, level{column: column})
	}
}

func isScalar(t token.Type) bool {
	switch t {
	case token.StringType, token.SingleQuoteType, token.DoubleQuoteType, token.NullType, token.BoolType,
		token.InfinityType, token.NanType, token.IntegerType, token.BinaryIntegerType, token.OctetIntegerType,
		token.HexIntegerType, token.FloatType:
		return true
	}
	return false
}
