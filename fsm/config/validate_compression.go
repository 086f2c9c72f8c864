package config

import (
	"slices"
	"strings"
)

var (
	encodings         = []string{"zstd", "gzip"}
	compressionLevels = []string{"fast", "better", "best"}
)

// maxMinLength is more than any response for which the question matters.
const maxMinLength = Size(16 << 20)

func validateCompression(p *problems, at *path, c *Compression) {
	if c == nil {
		return
	}
	if at := at.child("encodings"); p.fits(at, "encodings", len(c.Encodings)) {
		if len(c.Encodings) == 0 {
			p.add(at, "write encodings: [zstd, gzip], or remove compression", "without an encoding nothing is compressed")
		}
		for i, name := range c.Encodings {
			p.oneOf(at.item(i), name, encodings, nil)
			if slices.Contains(c.Encodings[:i], name) {
				p.add(at.item(i), "remove one of them", "%q is there twice", clip(name))
			}
		}
	}
	if c.MinLength < 0 || c.MinLength > maxMinLength {
		p.add(at.child("minLength"), "", "%v is out of range, must be from 0B to %v", c.MinLength, maxMinLength)
	}
	p.oneOf(at.child("level"), c.Level, compressionLevels, nil)
	validateMediaTypes(p, at.child("types"), c.Types)
}

func validateMediaTypes(p *problems, at *path, types []string) {
	if !p.fits(at, "media types", len(types)) {
		return
	}
	if len(types) == 0 {
		p.add(at, "name some as in [text/html, text/css], or leave types out for the usual ones", "without a media type nothing is compressed")
	}
	for i, name := range types {
		at, name := at.item(i), strings.ToLower(name)
		kind, sub, ok := strings.Cut(name, "/")
		switch {
		case !ok || !isToken(kind) || !isToken(sub) || len(name) > maxName || strings.Contains(kind, "*") || sub != "*" && strings.Contains(sub, "*"):
			p.add(at, "write a type as in text/html, or text/* for all of a kind, without parameters", "%q is no media type", clip(name))
		case name == "text/event-stream" || strings.HasPrefix(name, "application/grpc"):
			p.add(at, "remove it", "responses of type %s are never compressed: each of their pieces leaves as it is", clip(name))
		case slices.ContainsFunc(types[:i], func(other string) bool { return strings.EqualFold(other, name) }):
			p.add(at, "remove one of them", "%q is there twice", clip(name))
		}
	}
}
