package modjk

import (
	"os"
	"testing"

	"github.com/holdfast-lb/holdfast/migrate/golden"
)

func TestGolden(t *testing.T) {
	workers, err := os.ReadFile("testdata/workers.properties")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := os.ReadFile("testdata/uriworkermap.properties")
	if err != nil {
		t.Fatal(err)
	}
	opt := Options{Workers: "workers.properties", URIMap: "uriworkermap.properties", HTTPPort: 8080, HTTPPorts: map[string]int{"node3": 8081}}
	res := golden.Good(t, Import(workers, rules, opt))
	golden.Compare(t, "workers", res)
	golden.Once(t, res.Report, append(golden.Properties(string(workers)), golden.Properties(string(rules))...))
}
