package modjk

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/holdfast-lb/holdfast/migrate/report"
)

// Bounds of what is read. A line of mod_jk has at most 8192 characters.
const (
	MaxInput = 8 << 20 // bytes
	maxLine  = 8192
	maxLines = 100_000
	maxDepth = 20 // of references
)

// line is a directive: key = value. A value keeps what was written; text is what it stands for.
type line struct {
	file         string
	key          string
	value, text  string
	line, column int // of the key
	mark         report.Mark
	secret       bool
}

func (l *line) entry() report.Entry {
	value := l.value
	if l.secret {
		value = "***"
	}
	return l.mark.Entry(l.file, l.line, l.column, report.Clip(l.key), value)
}

// readLines takes a file apart. What cannot be a file of directives at all is the one line of the result, in error.
func readLines(file string, data []byte) []*line {
	fail := func(number, column int, format string, args ...any) []*line {
		l := &line{file: file, key: "file", line: number, column: column}
		l.mark.Fail(format, args...)
		return []*line{l}
	}
	if len(data) > MaxInput {
		return fail(1, 1, "the file has %d bytes, at most %d are read", len(data), MaxInput)
	}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return fail(1, 1, "the file is in UTF-16; store it as UTF-8 or ISO-8859-1")
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	var out []*line
	number := 0
	for raw := range bytes.Lines(data) {
		number++
		text := strings.TrimRight(toText(raw), "\r\n")
		for i, r := range []rune(text[:min(len(text), maxLine)]) {
			if r < ' ' && r != '\t' && r != '\r' || r == 0x7f {
				return fail(number, i+1, "the character U+%04X is not allowed", r)
			}
		}
		if len(text) > maxLine {
			return fail(number, 1, "the line has more than %d characters", maxLine)
		}
		if l := directive(text); l != nil {
			if len(out) >= maxLines {
				return fail(number, 1, "the file has more than %d directives", maxLines)
			}
			l.file, l.line = file, number
			out = append(out, l)
		}
	}
	return out
}

// toText takes what is not UTF-8 for ISO-8859-1, as properties files are by tradition.
func toText(raw []byte) string {
	if utf8.Valid(raw) {
		return string(raw)
	}
	runes := make([]rune, len(raw))
	for i, c := range raw {
		runes[i] = rune(c)
	}
	return string(runes)
}

// directive reads one line; nil: there is none in it.
func directive(text string) *line {
	text, _, _ = strings.Cut(text, "#")
	trimmed := strings.TrimLeft(text, " \t")
	l := &line{column: utf8.RuneCountInString(text[:len(text)-len(trimmed)]) + 1}
	if trimmed = strings.TrimSpace(trimmed); trimmed == "" {
		return nil
	}
	key, value, ok := strings.Cut(trimmed, "=")
	l.key, l.value = strings.TrimSpace(key), strings.TrimSpace(value)
	l.text = l.value
	lower := strings.ToLower(l.key)
	l.secret = strings.Contains(lower, "secret") || strings.Contains(lower, "password")
	switch {
	case !ok:
		l.mark.Fail("is no directive; write name=value")
	case l.key == "":
		l.key = "="
		l.mark.Fail("there is no name in front of the =")
	}
	return l
}

// expand replaces $(name) by a variable of the file, or of the environment, that was set before.
func expand(value string, lookup func(string) (string, bool)) (string, error) {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(value, "$(")
		b.WriteString(before)
		if !ok {
			return b.String(), nil
		}
		name, after, ok := strings.Cut(rest, ")")
		if !ok {
			return "", fmt.Errorf("$( has no end")
		}
		v, known := lookup(name)
		if !known {
			return "", fmt.Errorf("there is no variable %q, neither in a line above nor in the environment", report.Clip(name))
		}
		b.WriteString(v)
		if b.Len() > maxLine {
			return "", fmt.Errorf("the value has more than %d characters once its variables are replaced", maxLine)
		}
		value = after
	}
}
