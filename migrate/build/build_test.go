package build

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/migrate/report"
)

func TestWeights(t *testing.T) { // WAS-12
	for _, tc := range []struct {
		in, want []int
		exact    bool
	}{
		{nil, []int{}, true},
		{[]int{0, 2, 20}, []int{0, 2, 20}, true}, // up to 20 as they are
		{[]int{100, 100}, []int{1, 1}, true},
		{[]int{50, 100, 0}, []int{1, 2, 0}, true},
		{[]int{1000, 999}, []int{1000, 999}, true},
		{[]int{3000, 1, 0}, []int{1000, 1, 0}, false},
	} {
		got, exact := Weights(tc.in)
		if !slices.Equal(got, tc.want) || exact != tc.exact {
			t.Errorf("%v: %v %v, want %v %v", tc.in, got, exact, tc.want, tc.exact)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(rapid.IntRange(0, 1<<30), 1, 5).Draw(t, "weights")
		out, exact := Weights(in)
		for i := range in {
			if out[i] < 0 || out[i] > 1000 || (in[i] == 0) != (out[i] == 0) {
				t.Fatalf("%v: %v", in, out)
			}
			for j := range in {
				if exact && in[i]*out[j] != in[j]*out[i] || in[i] < in[j] && out[i] > out[j] {
					t.Fatalf("%v: %v changes the ratios", in, out)
				}
			}
		}
	})
}

func TestContextRoot(t *testing.T) {
	for _, tc := range []struct {
		pattern, root string
		exact, ok     bool
	}{
		{"/app/*", "/app", true, true}, {"/app/sub/*", "/app/sub", true, true}, {"/*", "/", true, true}, {"/", "/", true, true},
		{"/app", "/app", false, true}, {"*.jsp", "/", false, true}, {"/app/*.jsp", "/app", false, true}, {"/app*", "/app", false, true}, {"/a/*/b", "/a", false, true},
		{"/?x", "/", false, true}, {"", "", false, false}, {"app/*", "", false, false}, {"*", "", false, false},
	} {
		root, why, ok := ContextRoot(tc.pattern)
		if root != tc.root || ok != tc.ok || ok && (why == "") != tc.exact {
			t.Errorf("%q: %q %q %v", tc.pattern, root, why, ok)
		}
	}
}

func TestFaultsFindTheirPlace(t *testing.T) {
	c := Empty("")
	k := Cluster("a")
	in := Instance("i")
	in.Listeners = []string{"ftp://x"}
	k.Instances, k.ResponseTimeout = append(k.Instances, in), 0
	k.Health.Path = "no"
	c.Clusters = append(c.Clusters, k)
	var element, listeners, health, rest report.Mark
	element.Map("clusters[0].instances[0]")
	listeners.Map("clusters[0].instances[0].listeners")
	health.Map("clusters[*].health")
	if Finish(c, []*report.Mark{&element, &listeners, &health}, &rest) != nil {
		t.Fatal("was taken")
	}
	if element.Failed() || !listeners.Failed() || !health.Failed() || rest.Failed() {
		t.Errorf("element %v, listeners %v, health %v, rest %v", element, listeners, health, rest)
	}
	for key, want := range map[string]bool{"a": true, "a.b": true, "a.b[1].c": true, "a.b[*].c": true, "a.b[1].cd": false, "a.b[2]": false, "a.b[": false, "x": false, "a.b[1].c.d": false} {
		if leads(key, "a.b[1].c") != want {
			t.Errorf("leads(%q) is not %v", key, want)
		}
	}
}

func TestTheTemplateHasTheDefaults(t *testing.T) {
	c := Empty("")
	k := Cluster("c")
	k.Modules, k.Instances = append(k.Modules, Module("/a")), append(k.Instances, Instance("i"))
	k.Instances[0].Listeners = []string{"http://h:1"}
	c.Clusters = append(c.Clusters, k)
	var rest report.Mark
	got := Finish(c, nil, &rest)
	want, err := config.Parse("t", []byte(`{listeners: [{name: web, address: ":8080"}], clusters: [{name: c, affinity: {type: learn, routes: [JROUTE]}, modules: [{contextRoot: /a}], instances: [{name: i, listeners: ["http://h:1"]}]}]}`))
	if err != nil || got == nil || string(got.Canonical()) != string(want.Canonical()) {
		t.Errorf("%v %v", err, rest)
	}
}
