package lb

import "testing"

// TestListenersAreMeasuredAtOnce: nothing has to be restarted for a listener that was added to an instance to be in the metrics, and none that was taken away
// is left there.
func TestListenersAreMeasuredAtOnce(t *testing.T) { // SUN-28
	a, b := newApp(t, "i1", nil), newApp(t, "i1", nil)
	cc := conf(inst("i1", a.URL))
	r := newRig(t, cc)
	has := func(url string) (n int) {
		t.Helper()
		families, err := r.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() != "holdfast_instance_listener_up" {
				continue
			}
			for _, m := range f.GetMetric() {
				for _, l := range m.GetLabel() {
					if l.GetName() == "listener" && l.GetValue() == url {
						n++
					}
				}
			}
		}
		return n
	}
	if has(a.URL) != 1 || has(b.URL) != 0 {
		t.Fatal("before the change")
	}
	both := clone(cc)
	both.Clusters[0].Instances[0].Listeners = []string{a.URL, b.URL}
	r.apply(both)
	if has(a.URL) != 1 || has(b.URL) != 1 || metric(t, r, "holdfast_instance_listener_up", "cluster=c1", "instance=i1") != 2 {
		t.Error("a listener that is in force is not in the metrics")
	}
	b.Close()
	r.wait("the new one is down", func() bool {
		newClient(t).get(r.url("/"))
		return metric(t, r, "holdfast_instance_listener_up", "listener="+b.URL) == 0
	})
	r.apply(cc)
	if has(a.URL) != 1 || has(b.URL) != 0 {
		t.Error("a listener that is gone is in the metrics")
	}
}
