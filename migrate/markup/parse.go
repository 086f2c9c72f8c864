package markup

import "strings"

// Options say how a file is read.
type Options struct {
	// Root is the name that the first element must have.
	Root string
	// Lenient accepts attribute values without quotes, as some of the documents print them.
	Lenient bool
}

// Parse reads a file. The error is of type *Error.
func Parse(data []byte, opt Options) (*Document, error) {
	text, skip, err := toUTF8(data)
	if err != nil {
		return nil, err
	}
	s := scanner{text: text, line: 1, column: 1, lenient: opt.Lenient}
	if err := checkText(s); err != nil {
		return nil, err
	}
	s.skip(skip)
	doc, err := s.document(opt.Root)
	if err != nil {
		return nil, err
	}
	return doc, nil
}

func (s *scanner) document(root string) (*Document, *Error) {
	doc := &Document{}
	for {
		s.spaces()
		switch {
		case s.end() && doc.Root == nil:
			return nil, s.errorf("the file has no element <%s>", root)
		case s.end():
			return doc, nil
		case s.has("<!DOCTYPE"):
			if doc.Doctype != nil || doc.Root != nil {
				return nil, s.errorf("a DOCTYPE stands once, before the first element")
			}
			d, err := s.doctype()
			if err != nil {
				return nil, err
			}
			if d.Name != root {
				return nil, place{d.Line, d.Column}.errorf("this is a DOCTYPE of <%s>, want <%s>", clip(d.Name), root)
			}
			doc.Doctype = d
		case s.has("<!--"), s.has("<?"):
			if err := s.aside(); err != nil {
				return nil, err
			}
		case s.has("<!"):
			return nil, s.errorf("declarations are refused: they can read files and grow without bound")
		case s.peek() != '<':
			return nil, s.errorf("there is text outside of the elements; is this an XML file?")
		case doc.Root != nil:
			return nil, s.errorf("there is a second element behind </%s>", root)
		default:
			n, err := s.tree(root)
			if err != nil {
				return nil, err
			}
			doc.Root = n
		}
	}
}

// aside skips a comment or a processing instruction.
func (s *scanner) aside() *Error {
	if s.has("<?") {
		if s.has("<?xml ") || s.has("<?xml?") {
			return s.errorf("the XML declaration must be the first thing in the file")
		}
		return s.until("?>", "the processing instruction")
	}
	begin := s.here()
	s.skip(len("<!--"))
	if err := s.until("-->", "the comment"); err != nil {
		return begin.errorf("the comment has no end: \"-->\" is missing")
	}
	return nil
}

// doctype reads <!DOCTYPE name PUBLIC "…" "…"> and refuses one that declares anything.
func (s *scanner) doctype() (*Doctype, *Error) {
	begin := s.here()
	d := &Doctype{Line: begin.line, Column: begin.column}
	s.skip(len("<!DOCTYPE"))
	if !s.spaces() {
		return nil, s.errorf("the DOCTYPE has no name")
	}
	var err *Error
	if d.Name, err = s.name("name of the DOCTYPE"); err != nil {
		return nil, err
	}
	s.spaces()
	ids := []*string{}
	switch {
	case s.has("PUBLIC"):
		s.skip(len("PUBLIC"))
		ids = append(ids, &d.PublicID, &d.SystemID)
	case s.has("SYSTEM"):
		s.skip(len("SYSTEM"))
		ids = append(ids, &d.SystemID)
	}
	for _, id := range ids {
		s.spaces()
		if *id, err = s.quoted("identifier of the DOCTYPE"); err != nil {
			return nil, err
		}
	}
	s.spaces()
	switch s.peek() {
	case '>':
		s.next()
		return d, nil
	case '[':
		return nil, s.errorf("declarations inside of a DOCTYPE are refused: entities can read files and grow without bound; remove the part in [brackets]")
	}
	return nil, s.errorf("the DOCTYPE must end here with >")
}

// quoted reads text in quotes as it stands.
func (s *scanner) quoted(what string) (string, *Error) {
	quote := s.peek()
	if quote != '"' && quote != '\'' {
		return "", s.errorf("the %s must be in quotes", what)
	}
	begin := s.here()
	s.next()
	from := s.at
	for !s.end() && s.peek() != quote {
		s.next()
		if s.at-from > maxValue {
			break
		}
	}
	if s.peek() != quote {
		return "", begin.errorf("the %s has no end: the quote is missing", what)
	}
	text := string(s.text[from:s.at])
	s.next()
	return text, nil
}

// tree reads the element that begins here with everything in it, without recursion: depth is bounded, but not by the stack.
func (s *scanner) tree(root string) (*Node, *Error) {
	top, closed, err := s.startTag()
	if err != nil {
		return nil, err
	}
	if top.Name != root {
		return nil, place{top.Line, top.Column}.errorf("the file begins with <%s>, want <%s>: is it of this format?", clip(top.Name), root)
	}
	if closed {
		return top, nil
	}
	open := []*Node{top}
	for len(open) > 0 {
		n := open[len(open)-1]
		switch {
		case s.end():
			return nil, s.errorf("the file ends inside of <%s> from line %d; it is truncated", clip(n.Name), n.Line)
		case s.has("</"):
			if err := s.endTag(n); err != nil {
				return nil, err
			}
			open = open[:len(open)-1]
		case s.has("<!--"), s.has("<?"):
			if err := s.aside(); err != nil {
				return nil, err
			}
		case s.has("<![CDATA["), s.peek() != '<':
			if err := s.data(n); err != nil {
				return nil, err
			}
		case s.has("<!"):
			return nil, s.errorf("declarations are refused: they can read files and grow without bound")
		default:
			child, closed, err := s.startTag()
			if err != nil {
				return nil, err
			}
			n.Children = append(n.Children, child)
			if closed {
				continue
			}
			if open = append(open, child); len(open) > maxDepth {
				return nil, place{child.Line, child.Column}.errorf("elements are nested more than %d deep", maxDepth)
			}
		}
	}
	return top, nil
}

func (s *scanner) endTag(n *Node) *Error {
	begin := s.here()
	s.skip(len("</"))
	name, err := s.name("name of the element")
	if err != nil {
		return err
	}
	if name != n.Name {
		return begin.errorf("</%s> ends an element that is not open; <%s> from line %d is", clip(name), clip(n.Name), n.Line)
	}
	s.spaces()
	if s.peek() != '>' {
		return s.errorf("</%s must end here with >", clip(name))
	}
	s.next()
	return nil
}

// data reads character data and keeps it unless it is white space.
func (s *scanner) data(n *Node) *Error {
	begin := s.here()
	var b strings.Builder
	if s.has("<![CDATA[") {
		s.skip(len("<![CDATA["))
		from := s.at
		if err := s.until("]]>", "the CDATA section"); err != nil {
			return err
		}
		b.Write(s.text[from : s.at-len("]]>")])
	} else {
		for s.spaces(); !s.end() && s.peek() != '<'; {
			if b.Len() == 0 {
				begin = s.here()
			}
			if s.peek() == '&' {
				text, err := s.reference()
				if err != nil {
					return err
				}
				b.WriteString(text)
				continue
			}
			b.WriteRune(s.next())
		}
	}
	text := strings.TrimSpace(b.String())
	if text == "" {
		return nil
	}
	if n.Text == "" {
		n.TextLine, n.TextColumn = begin.line, begin.column
	}
	if len(n.Text)+len(text) > maxValue {
		return begin.errorf("the text in <%s> has more than %d characters", clip(n.Name), maxValue)
	}
	n.Text += text
	return nil
}
