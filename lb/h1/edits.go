package h1

import (
	"math/bits"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// usualSets is how many lines of a head can get another value before memory is taken for it.
const usualSets = 16

// Edits are changes to a head on its way. The zero value changes nothing. Fields of one hop and those of the framing are not passed on in any case,
// and must not be added: h1 writes its own.
type Edits struct {
	drop, set lines
	sets      [usualSets]setLine
	n         int
	more      []setLine // behind sets
	text      []byte    // values of sets
	add       []byte    // whole lines, each with its CRLF
}

type setLine struct {
	line     int
	from, to int // in text
}

// Reset takes all changes back. Memory is kept, but for that of heads with very many changes.
func (e *Edits) Reset() {
	e.drop, e.set, e.n, e.more = lines{}, lines{}, 0, nil
	e.text, e.add = e.text[:0], e.add[:0]
}

// Drop leaves out the field line with index i of Head.Fields or Answer.Fields.
func (e *Edits) Drop(i int) { e.drop.add(i) }

// Dropped reports whether line i is left out.
func (e *Edits) Dropped(i int) bool { return e.drop.has(i) }

// Set gives line i another value, in its place; the name stays. A second call for one line changes it again. Control octets in the value become spaces.
func (e *Edits) Set(i int, value []byte) {
	at := e.setFor(i)
	switch {
	case at != nil:
	case e.n < usualSets:
		at = &e.sets[e.n]
		e.n++
	default:
		e.more = append(e.more, setLine{})
		at = &e.more[len(e.more)-1]
	}
	from := len(e.text)
	e.text = appendValue(e.text, value)
	*at = setLine{line: i, from: from, to: len(e.text)}
	e.set.add(i)
}

func (e *Edits) setFor(i int) *setLine {
	if !e.set.has(i) {
		return nil
	}
	for _, list := range [...][]setLine{e.sets[:e.n], e.more} {
		for k := range list {
			if list[k].line == i {
				return &list[k]
			}
		}
	}
	return nil
}

// Add puts a line behind those of the head. Control octets in the value become spaces; the name must be a token.
func (e *Edits) Add(name string, value []byte) {
	e.add = append(append(e.add, name...), ": "...)
	e.add = append(appendValue(e.add, value), "\r\n"...)
}

// AddString is Add for a string.
func (e *Edits) AddString(name, value string) {
	e.add = append(append(e.add, name...), ": "...)
	e.add = append(appendValue(e.add, value), "\r\n"...)
}

// appendValue keeps a value from ending its line.
func appendValue[T []byte | string](b []byte, value T) []byte {
	n := len(b)
	b = append(b, value...)
	for i := n; i < len(b); i++ {
		if b[i] < ' ' && b[i] != '\t' || b[i] == 0x7f {
			b[i] = ' '
		}
	}
	return b
}

// appendLines copies the lines of a head from b[from:end], where the fields are, without those in hop, edited. end is the start of the empty line. Lines that stay as
// they are are copied together.
func (e *Edits) appendLines(dst, b []byte, from, end int, fields []wire.Field, hop lines) []byte {
	for word := range hop {
		for changed := hop[word] | e.drop[word] | e.set[word]; changed != 0; changed &= changed - 1 {
			i := word*64 + bits.TrailingZeros64(changed)
			if i >= len(fields) {
				break // of the director's making
			}
			dst = append(dst, b[from:fields[i].Name.Off]...)
			if from = end; i+1 < len(fields) {
				from = int(fields[i+1].Name.Off)
			}
			if !hop.has(i) && !e.drop.has(i) {
				s := e.setFor(i)
				dst = append(append(dst, fields[i].Name.Of(b)...), ": "...)
				dst = append(append(dst, e.text[s.from:s.to]...), "\r\n"...)
			}
		}
	}
	dst = append(dst, b[from:end]...)
	return append(dst, e.add...)
}
