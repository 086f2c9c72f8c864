package config

import (
	"bytes"
	"unicode/utf8"
)

// Bounds of what is read at all. Nothing in a configuration is nested deeper than six levels or has more than a dozen
// keys, so a text that exceeds these is a mistake or an attack.
const (
	// MaxInput is the largest configuration text that Parse takes, in bytes.
	MaxInput = 4 << 20
	maxDepth = 32
	maxKeys  = 64
	// maxMarks bounds the characters of a YAML text that can begin a token: the library keeps about 300 bytes for each.
	maxMarks = 1_500_000
	// maxNothings bounds the keys and items of a YAML text that have no value.
	maxNothings = 1000
)

// readTree turns the text into a tree, or reports why not and gives nil.
func readTree(p *problems, data []byte) *node {
	if len(data) > MaxInput {
		p.add(nil, "split the group, or shorten the text", "the text has %d bytes, at most %d are read", len(data), MaxInput)
		return nil
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !checkCharacters(p, data) {
		return nil
	}
	if first := bytes.TrimLeft(data, " \t\r\n"); len(first) > 0 && first[0] == '{' {
		if root, ok := readJSON(p, data); ok {
			return root
		}
	}
	return readYAML(p, data)
}

// checkCharacters refuses what no configuration needs and what readers treat differently: other encodings, NUL and the
// other control characters.
func checkCharacters(p *problems, data []byte) bool {
	line, column := 1, 1
	for i := 0; i < len(data); {
		r, size := rune(data[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(data[i:])
		}
		switch {
		case r == utf8.RuneError && size == 1:
			p.addAt(line, column, nil, "save the file as UTF-8", "byte 0x%02x is not UTF-8", data[i])
			return false
		case isForeign(r):
			p.addAt(line, column, nil, "remove it", "character U+%04X is not allowed", r)
			return false
		case r == '\n':
			line, column = line+1, 0
		}
		column++
		i += size
	}
	return true
}

// isForeign tells characters that no text of a configuration may have, neither as they are nor escaped.
func isForeign(r rune) bool {
	return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff
}
