package lb

import (
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

func TestSplitID(t *testing.T) {
	g := newFakeGroup(&config.Config{Clusters: []config.Cluster{{Name: "c1", Instances: []config.Instance{{Name: "i1"}, {Name: "i2"}, {Name: "gone"}}}}})
	one, two := &instance{name: "i1"}, &instance{name: "i2"}
	c := &cluster{name: "c1", byRoute: map[string]*instance{"i1": one, "domain.node": two}}
	for id, want := range map[string]string{
		"abc": "abc ", "abc.i1": "abc i1", "abc:i1": "abc i1", "abc.gone": "abc ", "abc.nobody": "abc.nobody ", "abc.": "abc. ",
		".i1": ".i1 ", "a.b.i1": "a.b i1", "abc.domain.node": "abc i2", "abc:i1:domain.node": "abc i1 i2", "abc:i1:nobody": "abc:i1:nobody ",
		"abc:nobody:i1": "abc:nobody i1", "0000AbC:i1": "0000AbC i1", "abc.i1.i1": "abc.i1 i1", "": " ",
	} {
		bare, named := c.splitID(g.node(), id)
		got := bare + " "
		var names []string
		for _, in := range named {
			names = append(names, in.name)
		}
		if got += strings.Join(names, " "); got != want {
			t.Errorf("%q: %q, want %q", id, got, want)
		}
	}
}

func FuzzSplitID(f *testing.F) {
	g := newFakeGroup(&config.Config{})
	c := &cluster{name: "c1", byRoute: map[string]*instance{"i1": {name: "i1"}}}
	view := g.node()
	for _, s := range []string{"abc.i1", "a:i1:i1:i1", ".....", strings.Repeat(":i1", 100)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, id string) {
		bare, named := c.splitID(view, id)
		if !strings.HasPrefix(id, bare) || id != "" && bare == "" || bare == id && named != nil {
			t.Fatalf("%q of %q", bare, id)
		}
	})
}
