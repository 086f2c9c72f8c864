package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestErrorsAreTyped(t *testing.T) {
	_, err := Parse("f.yaml", []byte("clusters:\n  - {name: a, helth: {}}\n"))
	var list Errors
	if !errors.As(err, &list) || len(list) != 1 {
		t.Fatalf("got %v", err)
	}
	want := Error{File: "f.yaml", Line: 2, Column: 15, Path: "clusters[0].helth", Message: `unknown key "helth"`, Hint: "did you mean health?"}
	if list[0] != want {
		t.Errorf("got %+v, want %+v", list[0], want)
	}
}

func TestErrorsAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("listeners:\n")
	for range 1000 {
		b.WriteString("- {name: a b}\n")
	}
	_, err := Parse("", []byte(b.String()))
	var list Errors
	if !errors.As(err, &list) || len(list) != maxErrors+1 || list[maxErrors].Message != "there may be more errors" {
		t.Errorf("%d errors, the last is %v", len(list), list[len(list)-1])
	}
}

func TestEmptyIsValid(t *testing.T) {
	checkRoundTrip(t, Empty())
	bare := &Config{OnQuorumLoss: "refuse", Holder: Holder{Settle: second}, Proxy: defaultProxy()}
	if err := bare.Validate(); err != nil {
		t.Error(err)
	}
	// A configuration with nil lists, as a program may make it, can be written too.
	if _, err := Parse("", bare.YAML()); err != nil {
		t.Error(err)
	}
}

func TestValidateWithoutText(t *testing.T) {
	c, err := Parse("", []byte("clusters: [{name: a, modules: [{contextRoot: /}], instances: [{name: i, listeners: ['http://h:1']}]}]"))
	if err != nil {
		t.Fatal(err)
	}
	d := c.Clone()
	d.Clusters[0].Instances[0].Weight = 1001
	d.Clusters[0].Instances[0].Listeners[0] = "junk"
	d.Clusters = append(d.Clusters, d.Clusters[0])
	want := "clusters[0].instances[0].weight: 1001 is out of range, must be from 0 to 1000\n" +
		"clusters[0].instances[0].listeners[0]: \"junk\" must begin with http://, https://, tcp:// or udp:// - write it as http://10.0.0.1:8080 or tcp://10.0.0.1:5432\n" +
		"clusters[1].name: cluster \"a\" is there twice: also clusters[0].name - rename one of them\n"
	if err := d.Validate(); err == nil || !strings.HasPrefix(err.Error()+"\n", want) {
		t.Errorf("got %v", err)
	}
	if c.Clusters[0].Instances[0].Weight != 1 || c.Clusters[0].Instances[0].Listeners[0] != "http://h:1" {
		t.Error("a change of the clone reached the original")
	}
}

// Texts that readers are known to take differently, or to take apart wrongly.
func TestOddTexts(t *testing.T) {
	for text, want := range map[string]string{
		"clusters: []\nclusters: []":                 "there is \"clusters\" twice",
		"{clusters: [], 'clusters': []}":             "twice",
		"clusters: [\n":                              "not YAML",
		"clusters: ]":                                "not YAML",
		"clusters: []]":                              "not YAML",
		"clusters: [] x":                             "not YAML",
		"clusters: []\n x":                           "not YAML",
		"clusters:\n- name: a\nb":                    "not YAML",
		"clusters:\n  - name: a\n - name: b":         "not YAML",
		"x\nclusters: []":                            "not YAML",
		"clusters: {name: a}":                        "must be a list",
		"'clusters' []":                              "not YAML",
		"clusters: [{name: a} {name: b}]":            "not YAML",
		"--- \n--- \nclusters: []":                   "second document",
		"{\"clusters\": [{\"name\": \"a\\u0000\"}]}": "cannot be the name",
		"{\"clusters\": [{\"name\": \"\\ud800\"}]}":  "cannot be the name",
		"{\"clusters\": 1e400}":                      "must be a list",
		"clusters: [{name: \"a\\0\"}]":               "cannot be the name",
		"clusters: [{name: \"a\\nb\"}]":              "cannot be the name",
		"\"clusters\\n\": []":                        "unknown key",
		"1: []":                                      "unknown key",
		"~: []":                                      "unknown key",
		"[clusters]: []":                             "not",
		"{}: []":                                     "not",
		"clusters: [{name: a, health: {path: /, path: /}}]":                                                 "twice",
		"clusters: [{name: a, instances: [{name: i, listeners: [http://a:1, http://b:1], listeners: []}]}]": "twice",
	} {
		_, err := Parse("", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) && want != "there is \"clusters\" twice" {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// Every input that is large in some way ends soon. The bound is generous: it is to catch quadratic behaviour, which
// takes minutes for texts of this size.
func TestLargeInputsEndSoon(t *testing.T) {
	const size = MaxInput / 16
	fill := func(head, part, tail string) string {
		return head + strings.Repeat(part, (size-len(head)-len(tail))/len(part)) + tail
	}
	inputs := map[string]string{
		"too large":           strings.Repeat("a", MaxInput+1),
		"flow lists":          fill("clusters: ", "[", ""),
		"flow maps":           fill("clusters: ", "{a: ", ""),
		"closing brackets":    fill("clusters: ", "]", ""),
		"JSON lists":          fill(`{"clusters":`, "[", strings.Repeat("]", 10)),
		"JSON nesting":        `{"clusters":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + "}",
		"compact lists":       fill("clusters:\n", "- ", ""),
		"explicit keys":       fill("", "? ", ""),
		"tags":                fill("clusters: ", "!a ", ""),
		"anchors":             fill("clusters: [", "&a b,", "]"),
		"aliases":             fill("clusters: [", "*a,", "]"),
		"commas":              fill("clusters: [", ",", "]"),
		"items":               fill("clusters: [", "a,", "]"),
		"same key":            fill("", "a: b\n", ""),
		"same key in braces":  fill("{", "a: b,", "}"),
		"dashes":              fill("clusters:\n", "-\n", ""),
		"colons":              fill("", ":", ""),
		"colons and blanks":   fill("", ": ", ""),
		"comments":            fill("clusters: []\n", "# c\n", ""),
		"document marks":      fill("", "---\n", ""),
		"blank lines":         fill("clusters:", "\n", "[]"),
		"blanks":              fill("clusters:", " ", "[]"),
		"one long text":       fill("clusters: ", "x", ""),
		"text of many lines":  fill("clusters: ", "x\n  ", ""),
		"quoted, open":        fill("clusters: \"", "x", ""),
		"quoted, many lines":  fill("clusters: \"", "x\n  ", "\""),
		"escapes":             fill("clusters: \"", "\\x41", "\""),
		"single quotes":       fill("clusters: '", "''", "'"),
		"long key":            fill("", "k", ": 1"),
		"long name":           fill("clusters: [{name: ", "n", "}]"),
		"long number":         fill("clusters: [{name: a, health: {rise: ", "9", "}}]"),
		"long JSON number":    fill(`{"clusters":`, "9", "}"),
		"long duration":       fill("clusters: [{name: a, quiesceTimeout: ", "1s", "}]"),
		"long expect":         fill("clusters: [{name: a, health: {expect: '", "200,", "200'}}]"),
		"long context root":   fill("clusters: [{name: a, modules: [{contextRoot: ", "/a", "}]}]"),
		"long host":           fill("clusters: [{name: a, modules: [{contextRoot: /, host: ", "a.", "a}]}]"),
		"many wrong names":    fill("clusters:\n", "- {name: -}\n", ""),
		"many unknown keys":   fill("clusters:\n", "- {nme: a}\n", ""),
		"many same listeners": fill("listeners:\n", "- {name: a, address: ':1'}\n", ""),
		"carriage returns":    fill("clusters:", "\r", "[]"),
		"deepening":           deepening(),
	}
	for name, text := range inputs {
		start := cpuTime(t)
		if _, err := Parse("", []byte(text)); err == nil && name != "comments" && name != "blank lines" && name != "blanks" && name != "carriage returns" {
			t.Errorf("%s: accepted", name)
		} else if err != nil && len(err.Error()) > 64<<10 {
			t.Errorf("%s: %d bytes of error text", name, len(err.Error()))
		}
		if d := cpuTime(t) - start; d > 10*time.Second {
			t.Errorf("%s: took %v of the processor", name, d)
		} else if d > time.Second {
			t.Logf("%s: %v", name, d)
		}
	}
}

// cpuTime is the processor time that this process has used: it does not depend on what else the machine does.
func cpuTime(t *testing.T) time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		t.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

func deepening() string {
	var b strings.Builder
	for i := 0; b.Len() < MaxInput/8; i++ {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func TestManyInstances(t *testing.T) {
	const n = 100_000
	letters := func(i, length int) string {
		b := make([]byte, length)
		for l := range b {
			b[length-1-l] = byte('a' + i%26)
			i /= 26
		}
		return string(b)
	}
	var flow, json strings.Builder
	flow.WriteString("clusters: [{name: c,instances: [")
	json.WriteString(`{"clusters":[{"name":"c","instances":[`)
	for i := range n {
		fmt.Fprintf(&flow, "{name: %s,listeners: ['http://%s:%d']},", letters(i, 4), letters(i/9, 3), i%9+1)
		if i < 85_000 { // JSON is longer
			fmt.Fprintf(&json, `{"name":"%s","listeners":["http://%s:%d"]},`, letters(i, 4), letters(i/9, 3), i%9+1)
		}
	}
	flow.WriteString("]}]")
	for text, want := range map[string]int{flow.String(): n, strings.TrimSuffix(json.String(), ",") + "]}]}": 85_000} {
		start := cpuTime(t)
		c, err := Parse("", []byte(text))
		if err != nil {
			t.Fatalf("%d bytes: %.300v", len(text), err)
		}
		if d := cpuTime(t) - start; d > 30*time.Second || len(c.Clusters[0].Instances) != want {
			t.Errorf("%d instances, %v", len(c.Clusters[0].Instances), d)
		} else {
			t.Logf("%d bytes, %d instances: %v of the processor", len(text), want, d)
		}
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.[yj]*")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("clusters: [{name: a, modules: [{contextRoot: /}], instances: [{name: i, listeners: ['http://h:1']}]}]"))
	f.Add([]byte("listeners:\n- name: a\n  address: ':80'\n"))
	f.Add([]byte(`{"clusters":[{"name":"a","affinity":{"type":"learn"},"health":{"expect":"200-399"},"quiesceTimeout":"1h"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("f", data)
		if err == nil {
			checkRoundTrip(t, c)
			c.Warnings()
			return
		}
		var list Errors
		if !errors.As(err, &list) || len(list) == 0 || c != nil {
			t.Errorf("error %T: %v", err, err)
		}
	})
}
