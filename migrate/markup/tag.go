package markup

import "strings"

// startTag reads <name attr="value" ...> or <name .../>, which is closed.
func (s *scanner) startTag() (n *Node, closed bool, err *Error) {
	begin := s.here()
	if s.elements++; s.elements > maxElements {
		return nil, false, begin.errorf("the file has more than %d elements", maxElements)
	}
	s.next() // <
	n = &Node{Line: begin.line, Column: begin.column}
	if n.Name, err = s.name("name of the element"); err != nil {
		return nil, false, err
	}
	for {
		spaced := s.spaces()
		switch {
		case s.end():
			return nil, false, s.errorf("the file ends inside of the tag <%s from line %d; it is truncated", clip(n.Name), n.Line)
		case s.peek() == '>':
			s.next()
			return n, false, nil
		case s.has("/>"):
			s.skip(2)
			return n, true, nil
		case !spaced:
			return nil, false, s.errorf("the tag <%s goes on without a space", clip(n.Name))
		}
		a, err := s.attribute(n)
		if err != nil {
			return nil, false, err
		}
		n.Attrs = append(n.Attrs, a)
	}
}

func (s *scanner) attribute(n *Node) (*Attr, *Error) {
	begin := s.here()
	a := &Attr{Line: begin.line, Column: begin.column}
	var err *Error
	if a.Name, err = s.name("name of the attribute"); err != nil {
		return nil, err
	}
	if other := n.Attr(a.Name); other != nil {
		return nil, begin.errorf("attribute %s of <%s> is there twice, first in line %d; keep one of them", clip(a.Name), clip(n.Name), other.Line)
	}
	if len(n.Attrs) >= maxAttrs {
		return nil, begin.errorf("<%s> has more than %d attributes", clip(n.Name), maxAttrs)
	}
	s.spaces()
	if s.peek() != '=' {
		return nil, s.errorf("attribute %s has no value; write %s=\"...\"", clip(a.Name), clip(a.Name))
	}
	s.next()
	s.spaces()
	a.Value, err = s.value(a.Name)
	return a, err
}

// value reads the value of an attribute; white space in it becomes spaces (XML 1.0, 3.3.3).
func (s *scanner) value(name string) (string, *Error) {
	quote := s.peek()
	switch {
	case quote == '"' || quote == '\'':
	case s.lenient:
		return s.bare(name)
	default:
		return "", s.errorf("the value of %s is not in quotes; write them, or read the file with --lenient", clip(name))
	}
	begin := s.here()
	s.next()
	var b strings.Builder
	for {
		switch c := s.peek(); {
		case s.end():
			return "", begin.errorf("the value of %s has no end: the quote is missing", clip(name))
		case c == quote:
			s.next()
			return b.String(), nil
		case c == '<':
			return "", s.errorf("there is < in the value of %s; write &lt; for it, or end the value with a quote", clip(name))
		case c == '&':
			text, err := s.reference()
			if err != nil {
				return "", err
			}
			b.WriteString(text)
		case c == '\r' && s.at+1 < len(s.text) && s.text[s.at+1] == '\n':
			s.next() // the two are one end of a line (XML 1.0, 2.11)
		case isSpace(c):
			s.next()
			b.WriteByte(' ')
		default:
			b.WriteRune(s.next())
		}
		if b.Len() > maxValue {
			return "", begin.errorf("the value of %s has more than %d characters", clip(name), maxValue)
		}
	}
}

// bare reads a value without quotes: up to white space or the end of the tag.
func (s *scanner) bare(name string) (string, *Error) {
	from, begin := s.at, s.here()
	for !s.end() && !isSpace(s.peek()) && s.peek() != '>' && !s.has("/>") {
		if strings.IndexByte("\"'<=&`", s.peek()) >= 0 {
			return "", s.errorf("there is %q in the value of %s; put it in quotes", s.peek(), clip(name))
		}
		s.next()
	}
	// url=/> is / and the end of the tag in the eyes of whoever wrote it, and > alone to a reader that takes /> for the end.
	if s.at == from {
		return "", begin.errorf("the value of %s is missing; put it in quotes", clip(name))
	}
	if s.at-from > maxValue {
		return "", begin.errorf("the value of %s has more than %d characters", clip(name), maxValue)
	}
	return string(s.text[from:s.at]), nil
}
