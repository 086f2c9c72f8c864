package config

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func withCompression(value string) string {
	return "clusters: [{name: a, modules: [{contextRoot: /, compression: " + value + "}]}]"
}

// TestCompression: off unless it is asked for, with the defaults of what is not said.
func TestCompression(t *testing.T) {
	for _, nothing := range []string{"null", "~"} {
		if c := mustParse(t, withCompression(nothing)); c.Clusters[0].Modules[0].Compression != nil {
			t.Errorf("%s: %+v", nothing, c.Clusters[0].Modules[0].Compression)
		}
	}
	c := mustParse(t, withCompression("{}"))
	if got := c.Clusters[0].Modules[0].Compression; got == nil || !reflect.DeepEqual(*got, DefaultCompression()) {
		t.Fatalf("%+v", got)
	}
	checkRoundTrip(t, c)
	c = mustParse(t, withCompression("{encodings: [gzip], minLength: 2KiB, types: [Text/HTML, 'application/*'], level: best}"))
	want := Compression{Encodings: []string{"gzip"}, MinLength: 2 << 10, Types: []string{"text/html", "application/*"}, Level: "best"}
	if got := c.Clusters[0].Modules[0].Compression; got == nil || !reflect.DeepEqual(*got, want) {
		t.Fatalf("%+v", got)
	}
	checkRoundTrip(t, c)
	copied := c.Clone()
	copied.Clusters[0].Modules[0].Compression.Types[0], copied.Clusters[0].Modules[0].Compression.Encodings[0] = "x/y", "zstd"
	if !reflect.DeepEqual(*c.Clusters[0].Modules[0].Compression, want) {
		t.Error("a clone shares its lists")
	}
	copied.Clusters[0].Modules[0].Compression.Types[0] = "b/c"
	if d := DefaultCompression(); d.Types[0] != "text/html" {
		t.Error("the default can be changed")
	}
}

func TestCompressionRefuses(t *testing.T) {
	var many []string
	for i := range 1001 {
		many = append(many, fmt.Sprint("a/b", i))
	}
	for value, want := range map[string]string{
		"on":                                         "must be a mapping",
		"{encodings: []}":                            "without an encoding nothing is compressed",
		"{encodings: gzip}":                          "must be a list",
		"{encodings: [br]}":                          "modules[0].compression.encodings[0]",
		"{encodings: [gzip, gzip]}":                  "is there twice",
		"{minLength: -1}":                            "is not a size",
		"{minLength: 17MiB}":                         "out of range",
		"{level: 9}":                                 "must be text",
		"{level: fastest}":                           "modules[0].compression.level",
		"{types: []}":                                "without a media type nothing is compressed",
		"{types: [html]}":                            "is no media type",
		"{types: ['*/*']}":                           "is no media type",
		"{types: ['text/h*']}":                       "is no media type",
		"{types: ['text/html; charset=x']}":          "is no media type",
		"{types: ['text/']}":                         "is no media type",
		"{types: ['a/b/c']}":                         "is no media type",
		"{types: [\"a/b\\r\\nX: y\"]}":               "is no media type",
		"{types: [Text/Event-Stream]}":               "are never compressed",
		"{types: [application/grpc+proto]}":          "are never compressed",
		"{types: [text/html, TEXT/html]}":            "is there twice",
		"{types: [" + strings.Join(many, ",") + "]}": "at most",
		"{quality: 5}":                               "unknown key",
	} {
		if _, err := Parse("f", []byte(withCompression(value))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, want %q", value, err, want)
		}
	}
}

// TestCompressionByEdits: a field by itself, and all of it away.
func TestCompressionByEdits(t *testing.T) {
	c := mustParse(t, withCompression("{minLength: 2KiB}"))
	next, _ := applied(t, c, `[{"op":"set","kind":"module","cluster":"a","contextRoot":"/","values":{"compression":null}}]`)
	if next.Clusters[0].Modules[0].Compression != nil {
		t.Errorf("%+v", next.Clusters[0].Modules[0].Compression)
	}
	again, _ := applied(t, next, `[{"op":"set","kind":"module","cluster":"a","contextRoot":"/","values":{"compression":{"level":"best"}}}]`)
	if got := again.Clusters[0].Modules[0].Compression; got == nil || got.Level != "best" || got.MinLength != 1<<10 {
		t.Errorf("%+v", got)
	}
	changes := Diff(c, next)
	if len(changes) != 1 || changes[0].Field != "compression" || changes[0].To != nil {
		t.Errorf("%+v", changes)
	}
}
