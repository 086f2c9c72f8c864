package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// readJSON reads data when it is well-formed JSON. ok is false when it is not and YAML, whose flow style looks alike,
// should have its turn; a file that calls itself .json gets its error here.
func readJSON(p *problems, data []byte) (root *node, ok bool) {
	if offset, err := wellFormed(data); err != nil {
		if strings.Contains(err.Error(), "exceeded max depth") { // of encoding/json, which is 10,000: no YAML either
			newJSONReader(p, data).value(0) // it ends where the first thing is nested too deep
			return nil, true
		}
		if !strings.HasSuffix(p.file, ".json") {
			return nil, false
		}
		r := &jsonReader{data: data}
		r.seek(offset)
		p.addAt(r.line+1, r.column+1, nil, "", "not JSON: %v", err)
		return nil, true
	}
	return newJSONReader(p, data).value(0), true
}

// wellFormed gives the place of the error, if there is one.
func wellFormed(data []byte) (offset int, err error) {
	var raw json.RawMessage
	dec := json.NewDecoder(bytes.NewReader(data))
	err = dec.Decode(&raw)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return int(syntax.Offset) - 1, err
	}
	if err != nil {
		return len(data), err
	}
	offset = int(dec.InputOffset())
	if rest := bytes.TrimLeft(data[offset:], " \t\r\n"); len(rest) > 0 {
		return len(data) - len(rest), errors.New("there is more text after the end")
	}
	return 0, nil
}

type jsonReader struct {
	p            *problems
	data         []byte
	dec          *json.Decoder
	pos          int
	line, column int // of pos, from 0
	placeless    bool
}

func newJSONReader(p *problems, data []byte) *jsonReader {
	r := &jsonReader{p: p, data: data, dec: json.NewDecoder(bytes.NewReader(data))}
	r.dec.UseNumber()
	return r
}

// seek moves to offset, forwards only, and keeps count of lines and columns.
func (r *jsonReader) seek(offset int) {
	for r.pos < offset && r.pos < len(r.data) {
		c, size := utf8.DecodeRune(r.data[r.pos:])
		r.pos += size
		r.column++
		if c == '\n' {
			r.line, r.column = r.line+1, 0
		}
	}
}

// token gives the next token and where it begins.
func (r *jsonReader) token() (t json.Token, line, column int) {
	start := int(r.dec.InputOffset())
	for start < len(r.data) && strings.IndexByte(" \t\r\n,:", r.data[start]) >= 0 {
		start++
	}
	r.seek(start)
	t, err := r.dec.Token()
	if err != nil {
		panic("BUG: well-formed JSON has no next token: " + err.Error())
	}
	return t, r.line + 1, r.column + 1
}

// value gives nil after an error, which ends the reading.
func (r *jsonReader) value(depth int) *node {
	t, line, column := r.token()
	n := &node{line: line, column: column}
	if r.placeless {
		n.line, n.column = 0, 0
	}
	switch t := t.(type) {
	case bool:
		n.kind, n.text = kindBool, map[bool]string{false: "false", true: "true"}[t]
	case json.Number:
		n.kind, n.text = kindNumber, t.String()
	case string:
		n.kind, n.text = kindString, t
	case json.Delim:
		if depth >= maxDepth {
			return r.fail(line, column, "nested more than %d levels deep", maxDepth)
		}
		if t == '[' {
			return r.list(n, depth)
		}
		return r.mapping(n, depth)
	}
	return n
}

func (r *jsonReader) list(n *node, depth int) *node {
	n.kind = kindList
	for r.dec.More() {
		v := r.value(depth + 1)
		if v == nil {
			return nil
		}
		n.items = append(n.items, v)
	}
	r.token()
	return n
}

func (r *jsonReader) mapping(n *node, depth int) *node {
	n.kind = kindMap
	for r.dec.More() {
		key, line, column := r.token()
		if len(n.pairs) >= maxKeys {
			return r.fail(line, column, "more than %d keys in one mapping", maxKeys)
		}
		v := r.value(depth + 1)
		if v == nil {
			return nil
		}
		if r.placeless {
			line, column = 0, 0
		}
		n.pairs = append(n.pairs, pair{key: key.(string), line: line, column: column, value: v})
	}
	r.token()
	return n
}

// readPart reads JSON that is no file, so that lines and columns in it would say nothing.
func readPart(data []byte) (*node, error) {
	if _, err := wellFormed(data); err != nil {
		return nil, err
	}
	p := &problems{}
	r := &jsonReader{p: p, data: data, dec: json.NewDecoder(bytes.NewReader(data)), placeless: true}
	r.dec.UseNumber()
	root := r.value(0)
	if root == nil {
		return nil, errors.New(p.list[0].Message)
	}
	return root, nil
}

func (r *jsonReader) fail(line, column int, format string, args ...any) *node {
	r.p.addAt(line, column, nil, "", format, args...)
	return nil
}
