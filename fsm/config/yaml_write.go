package config

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
)

// YAML gives the configuration as operators read and edit it, every default written. Parse gives the same value back.
func (c *Config) YAML() []byte {
	p := &problems{}
	root, ok := readJSON(p, c.Canonical())
	if !ok || root == nil {
		panic("BUG: canonical JSON cannot be read: " + p.list.Error())
	}
	var b bytes.Buffer
	writeMapping(&b, root, 0, false)
	return b.Bytes()
}

// writeMapping writes one key a line. inItem: the first key stands behind the "- " that is written already.
func writeMapping(b *bytes.Buffer, n *node, indent int, inItem bool) {
	for i, kv := range n.pairs {
		if i > 0 || !inItem {
			b.WriteString(strings.Repeat(" ", indent))
		}
		b.WriteString(kv.key + ":")
		writeValue(b, kv.value, indent)
	}
}

func writeValue(b *bytes.Buffer, n *node, indent int) {
	switch {
	case n.kind == kindMap:
		b.WriteByte('\n')
		writeMapping(b, n, indent+2, false)
	case n.kind == kindList && (len(n.items) == 0 || n.items[0].kind == kindString):
		words := make([]string, len(n.items))
		for i, v := range n.items {
			words[i] = scalarYAML(v)
		}
		b.WriteString(" [" + strings.Join(words, ", ") + "]\n")
	case n.kind == kindList:
		b.WriteByte('\n')
		for _, v := range n.items {
			b.WriteString(strings.Repeat(" ", indent+2) + "- ")
			writeMapping(b, v, indent+4, true)
		}
	default:
		b.WriteString(" " + scalarYAML(n) + "\n")
	}
}

// bare is text that needs no quotes in any YAML reader: words, paths, durations and sizes, but nothing that could pass for a
// number, a date or one of the words for true, false and nothing.
var bare = regexp.MustCompile(`^(/[A-Za-z0-9/._-]*|[A-Za-z][A-Za-z0-9._-]*|([0-9]+(h|m|s|ms))+|[1-9][0-9]*[KMG]iB)$`)

func scalarYAML(n *node) string {
	if n.kind == kindNull {
		return "[]" // a nil list of a configuration that Parse did not make
	}
	if n.kind != kindString {
		return n.text
	}
	switch strings.ToLower(n.text) {
	case "true", "false", "yes", "no", "on", "off", "y", "n", "null":
	default:
		if bare.MatchString(n.text) {
			return n.text
		}
	}
	return strconv.Quote(n.text)
}
