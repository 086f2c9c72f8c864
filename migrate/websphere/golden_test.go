package websphere

import (
	"os"
	"testing"

	"github.com/holdfast-lb/holdfast/migrate/golden"
)

func TestGolden(t *testing.T) { // WAS-09, WAS-12
	data, err := os.ReadFile("testdata/plugin-cfg.xml")
	if err != nil {
		t.Fatal(err)
	}
	res := golden.Good(t, Import(data, Options{File: "plugin-cfg.xml"}))
	golden.Compare(t, "plugin-cfg", res)
	golden.Once(t, res.Report, golden.XML(string(data)))
}
