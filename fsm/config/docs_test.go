package config

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// notYet are the keys that this version refuses, so the documentation does not offer them.
var notYet = map[string]bool{}

// TestDocumentedDefaults: the block of docs/OPERATIONS.md that lists all keys with their defaults says what is so: a configuration with nothing but the
// required keys is the same.
func TestDocumentedDefaults(t *testing.T) {
	block := documentedBlock(t)
	documented := mustParse(t, block)
	bare := mustParse(t, `
listeners: [{name: web, address: ":8080"}]
clusters:
  - name: cluster1
    modules: [{contextRoot: /fortune}]
    instances: [{name: instance1, listeners: ["http://10.0.0.11:8080"]}]
`)
	if !reflect.DeepEqual(documented, bare) {
		t.Errorf("documented:\n%s\nreal:\n%s", documented.Canonical(), bare.Canonical())
	}
	for _, key := range configKeys(reflect.TypeFor[Config]()) {
		if !notYet[key] && !regexp.MustCompile(`\b`+key+`:`).MatchString(block) {
			t.Errorf("docs/OPERATIONS.md does not list %s", key)
		}
	}
}

// The alternatives in the comments of the block have the defaults that they state, too.
func TestDocumentedAlternatives(t *testing.T) {
	block := documentedBlock(t)
	cluster := func(values string) *Config { return mustParse(t, "clusters: [{name: a, "+values+"}]") }
	types := map[string]bool{}
	for _, m := range regexp.MustCompile(`# or affinity: \{type: (\w+)(.*)\}`).FindAllStringSubmatch(block, -1) {
		types[m[1]] = true
		short := "affinity: {type: " + m[1] + "}"
		if m[1] == "header" {
			short = "affinity: {type: header, name: X-Session-Id}"
		}
		long := cluster("affinity: {type: " + m[1] + m[2] + "}")
		if !reflect.DeepEqual(long, cluster(short)) {
			t.Errorf("%s is not the default of %s", m[0], short)
		}
	}
	if len(types) != 5 || types["insert"] {
		t.Errorf("alternatives of affinity: %v", types)
	}
	m := regexp.MustCompile(`# or (instanceTemplate: \{.*\})`).FindStringSubmatch(block)
	if m == nil || !reflect.DeepEqual(cluster(m[1]), cluster("instanceTemplate: {}")) {
		t.Errorf("instanceTemplate: %q", m)
	}
	m = regexp.MustCompile(`# with backup: failBack: (\w+)`).FindStringSubmatch(block)
	if c := mustParse(t, "clusters: [{name: a, backup: [b]}, {name: b}]"); m == nil || m[1] != c.Clusters[0].FailBack {
		t.Errorf("failBack: %q", m)
	}
	m = regexp.MustCompile(`as in (\{pattern: .*?\})`).FindStringSubmatch(block)
	if m == nil || !reflect.DeepEqual(cluster("modules: [{contextRoot: /, idempotent: ["+m[1]+"]}]"), cluster(`modules: [{contextRoot: /, idempotent: [{pattern: "/search/*"}]}]`)) {
		t.Errorf("idempotent: %q", m)
	}
}

// Every value that a comment of the block offers for a key is taken.
func TestDocumentedValues(t *testing.T) {
	for _, values := range [][]string{policies, {"none", "host", "zone"}, {"refuse", "serve"}, {"reassign", "refuse"}, {"unavailable", "not-found"}, {"http", "tcp", "grpc", "agent", "none"}, passiveSigns, {"active", "recover-only"}, {"set", "append", "off"}, {"x-forwarded", "forwarded", "both"}, {"proxies", "all", "none"}, {"json", "combined", "off"}, {Maintenance}, {"protocol: tcp", "protocol: udp"}, {"accept", "require"}, {"v1", "v2"}} {
		for _, v := range values {
			if !strings.Contains(documentedBlock(t), v) {
				t.Errorf("docs/OPERATIONS.md does not offer %s", v)
			}
		}
	}
}

// documentedBlock is the first block of YAML under the heading.
func documentedBlock(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## The group's configuration\n")
	_, block, ok2 := strings.Cut(section, "\n```yaml\n")
	block, _, ok3 := strings.Cut(block, "\n```\n")
	if !ok || !ok2 || !ok3 {
		t.Fatal("docs/OPERATIONS.md has no block of YAML in its section on the configuration")
	}
	return block
}

// configKeys lists the keys of a type and of what is in it.
func configKeys(t reflect.Type) (keys []string) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		return configKeys(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			key, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			keys = append(append(keys, key), configKeys(t.Field(i).Type)...)
		}
	}
	return keys
}
