package config

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew; read the difference before it is kept")

// Each testdata/NAME.yaml or .json has a NAME.want: canonical JSON and warnings, or the whole error text.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.*")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range files {
		ext := filepath.Ext(file)
		if ext != ".yaml" && ext != ".json" {
			continue
		}
		n++
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := outcome(t, filepath.Base(file), data)
			want := strings.TrimSuffix(file, ext) + ".want"
			if *update {
				if err := os.WriteFile(want, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			expected, err := os.ReadFile(want)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(expected) {
				t.Errorf("got:\n%s\nwant:\n%s", got, expected)
			}
		})
	}
	if n < 20 {
		t.Errorf("only %d golden files found", n)
	}
}

func outcome(t *testing.T, name string, data []byte) string {
	c, err := Parse(name, data)
	if err != nil {
		if c != nil {
			t.Error("a configuration beside an error")
		}
		return err.Error() + "\n"
	}
	checkRoundTrip(t, c)
	out := string(c.Canonical()) + "\n"
	for _, w := range c.Warnings() {
		out += "warning: " + w + "\n"
	}
	return out
}

// checkRoundTrip is the property of every configuration that Parse accepts.
func checkRoundTrip(t *testing.T, c *Config) {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Errorf("Parse accepts what Validate refuses: %v", err)
	}
	for what, text := range map[string][]byte{"YAML": c.YAML(), "Canonical": c.Canonical()} {
		if len(text) > MaxInput {
			continue
		}
		again, err := Parse("", text)
		if err != nil {
			t.Errorf("%s cannot be read again: %v\n%s", what, err, text)
		} else if !reflect.DeepEqual(c, again) || string(again.Canonical()) != string(c.Canonical()) {
			t.Errorf("%s gives another value:\n%+v\n%+v", what, c, again)
		}
	}
	if d := c.Clone(); !reflect.DeepEqual(c, d) {
		t.Errorf("Clone gives another value: %+v", d)
	}
}
