// Package golden is for tests. It renders what importers made, and finds the elements, attributes and directives of a file in a way of its own, so that
// reports can be compared with it. It knows only well-formed files without the characters < and > in values.
package golden

import (
	"regexp"
	"slices"
	"strings"
)

// Place is a line and a column, both from 1.
type Place struct{ Line, Column int }

var (
	aside     = regexp.MustCompile(`(?s)<!--.*?-->|<\?.*?\?>`)
	doctype   = regexp.MustCompile(`<!DOCTYPE`)
	tag       = regexp.MustCompile(`<[A-Za-z][^>]*>`)
	attribute = regexp.MustCompile(`\s([A-Za-z][\w-]*)\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'>]+)`)
	directive = regexp.MustCompile(`(?m)^[ \t]*([^#\s][^#\n]*)`)
)

// XML lists the places of the DOCTYPE, all elements and all attributes.
func XML(text string) []Place {
	text = aside.ReplaceAllStringFunc(text, func(s string) string {
		return strings.Map(func(r rune) rune {
			if r == '\n' {
				return r
			}
			return ' '
		}, s)
	})
	var at []int
	for _, m := range doctype.FindAllStringIndex(text, -1) {
		at = append(at, m[0])
	}
	for _, m := range tag.FindAllStringIndex(text, -1) {
		at = append(at, m[0])
		for _, a := range attribute.FindAllStringSubmatchIndex(text[m[0]:m[1]], -1) {
			at = append(at, m[0]+a[2])
		}
	}
	return places(text, at)
}

// Properties lists the places of all directives.
func Properties(text string) []Place {
	var at []int
	for _, m := range directive.FindAllStringSubmatchIndex(text, -1) {
		at = append(at, m[2])
	}
	return places(text, at)
}

func places(text string, at []int) []Place {
	slices.Sort(at)
	out := make([]Place, len(at))
	for i, n := range at {
		begin := strings.LastIndexByte(text[:n], '\n') + 1
		out[i] = Place{strings.Count(text[:n], "\n") + 1, len([]rune(text[begin:n])) + 1}
	}
	return out
}
