package operate

import (
	"fmt"
	"math/rand/v2"
)

// draft is a change that is being drawn: each thing is named once only, so that the order of its edits does not matter.
type draft struct {
	m      *Model
	random *rand.Rand
	change *Change
	named  map[string]bool
}

// Draw draws a change and brings the model to where it leads: it must be applied, and must succeed.
func (m *Model) Draw(random *rand.Rand) *Change {
	d := &draft{m: m, random: random, change: &Change{fate: m.fate, Now: random.IntN(4) == 0}, named: map[string]bool{}}
	want := 1
	if random.IntN(4) == 0 {
		want = 2 + random.IntN(3)
	}
	for len(d.change.Edits) < want {
		d.one()
	}
	return d.change
}

// one tries to add one edit; it adds none when there is nothing of the drawn kind to change.
func (d *draft) one() {
	kinds := []func(){
		d.setInstance, d.setInstance, d.setInstance, d.disable, d.disable, d.enable, d.enable, d.addInstance, d.addInstance, d.removeInstance,
		d.setCluster, d.setCluster, d.addCluster, d.removeCluster, d.addModule, d.toggleModule, d.removeModule, d.addListener, d.removeListener, d.setGroup,
	}
	kinds[d.random.IntN(len(kinds))]()
}

// claim reserves a thing for one edit of the change.
func (d *draft) claim(format string, args ...any) bool {
	name := fmt.Sprintf(format, args...)
	if d.named[name] {
		return false
	}
	d.named[name] = true
	return true
}

func (d *draft) add(e Edit) { d.change.Edits = append(d.change.Edits, e) }

func pick[T any](r *rand.Rand, list []T) (one T, ok bool) {
	if len(list) == 0 {
		return one, false
	}
	return list[r.IntN(len(list))], true
}

func (d *draft) cluster() string {
	name, _ := pick(d.random, keys(d.m.clusters))
	return name
}

// unsettled is a cluster without clients that no edit of the change names yet.
func (d *draft) unsettled() (string, bool) {
	var names []string
	for _, name := range keys(d.m.clusters) {
		if !d.m.settled(name) {
			names = append(names, name)
		}
	}
	return pick(d.random, names)
}

// instance picks one of those that a change may stop, in a cluster that the change does not remove.
func (d *draft) instance(want func(enabled bool) bool) (place, bool) {
	c := d.cluster()
	name, ok := pick(d.random, d.m.touchable(c, want))
	if !ok || d.named["cluster "+c] || !d.claim("instance %s of %s", name, c) {
		return place{}, false
	}
	d.named["inside "+c] = true
	return place{c, name}, true
}

func (d *draft) setInstance() {
	c := d.cluster()
	name, ok := pick(d.random, keys(d.m.clusters[c].instances))
	if !ok || d.named["cluster "+c] || !d.claim("instance %s of %s", name, c) {
		return
	}
	d.named["inside "+c] = true
	values := []map[string]any{
		{"weight": 1 + d.random.IntN(10)}, {"zone": fmt.Sprintf("zone-%d", d.random.IntN(3))}, {"version": fmt.Sprintf("1.%d", d.random.IntN(5))},
		{"maxSessions": 100_000 + d.random.IntN(1000)}, {"weight": 1 + d.random.IntN(10), "zone": ""},
	}
	v, _ := pick(d.random, values)
	d.add(Edit{Op: "set", Kind: "instance", Cluster: c, Name: name, Values: v})
}

func (d *draft) disable() {
	p, ok := d.instance(func(enabled bool) bool { return enabled })
	if !ok {
		return
	}
	d.m.clusters[p.cluster].instances[p.instance] = false
	d.add(Edit{Op: "disable", Kind: "instance", Cluster: p.cluster, Name: p.instance})
	if d.change.Now {
		d.change.oust, d.change.gone = append(d.change.oust, p), append(d.change.gone, p)
	}
}

func (d *draft) enable() {
	p, ok := d.instance(func(enabled bool) bool { return !enabled })
	if !ok {
		return
	}
	d.m.clusters[p.cluster].instances[p.instance] = true
	d.add(Edit{Op: "enable", Kind: "instance", Cluster: p.cluster, Name: p.instance})
	d.change.back = append(d.change.back, p)
}

func (d *draft) addInstance() {
	c := d.cluster()
	var absent []string
	for _, name := range keys(d.m.Addresses) {
		if _, has := d.m.clusters[c].instances[name]; !has {
			absent = append(absent, name)
		}
	}
	name, ok := pick(d.random, absent)
	if !ok || d.named["cluster "+c] || !d.claim("instance %s of %s", name, c) {
		return
	}
	d.named["inside "+c] = true
	d.m.clusters[c].instances[name] = true
	d.add(Edit{Op: "add", Kind: "instance", Cluster: c, Name: name, Values: map[string]any{"listeners": []string{"http://" + d.m.Addresses[name]}}})
	d.change.back = append(d.change.back, place{c, name})
}

func (d *draft) removeInstance() {
	p, ok := d.instance(func(bool) bool { return true })
	if !ok {
		return
	}
	delete(d.m.clusters[p.cluster].instances, p.instance)
	d.add(Edit{Op: "remove", Kind: "instance", Cluster: p.cluster, Name: p.instance})
	d.change.oust, d.change.gone = append(d.change.oust, p), append(d.change.gone, p)
}

func (d *draft) setCluster() {
	c := d.cluster()
	if d.named["inside "+c] || !d.claim("cluster %s", c) {
		return
	}
	values := []map[string]any{
		{"policy": "round-robin"}, {"policy": "weighted-round-robin"}, {"policy": "least-sessions"}, {"policy": "least-requests"}, {"policy": "power-of-two"},
		{"policy": "peak-ewma"}, {"responseTimeout": fmt.Sprintf("%ds", 30+d.random.IntN(60))}, {"bodyBuffer": "128KiB"}, {"slowStart": "1s"}, {"slowStart": nil},
		{"onAllQuiescing": "serve"}, {"onAllQuiescing": "refuse"},
	}
	v, _ := pick(d.random, values)
	d.add(Edit{Op: "set", Kind: "cluster", Name: c, Values: v})
}

func (d *draft) setGroup() {
	if !d.claim("group") {
		return
	}
	v, _ := pick(d.random, []string{"provisional", "refuse"})
	d.add(Edit{Op: "set", Kind: "group", Values: map[string]any{"onQuorumLoss": v}})
}

func (d *draft) addCluster() {
	if len(d.m.clusters) > len(d.m.Settled)+5 {
		return
	}
	name := d.m.fresh("cluster")
	d.named["cluster "+name] = true
	d.m.clusters[name] = &cluster{instances: map[string]bool{}, modules: map[string]bool{}}
	d.add(Edit{Op: "add", Kind: "cluster", Name: name, Values: map[string]any{"health": map[string]any{"type": "none"}}})
}

func (d *draft) removeCluster() {
	name, ok := d.unsettled()
	if !ok || d.named["inside "+name] || !d.claim("cluster %s", name) {
		return
	}
	delete(d.m.clusters, name)
	d.add(Edit{Op: "remove", Kind: "cluster", Name: name})
}

func (d *draft) addModule() {
	c, ok := d.unsettled()
	if !ok || d.named["cluster "+c] {
		return
	}
	root := "/" + d.m.fresh("module")
	d.named["inside "+c], d.named["module "+root] = true, true
	d.m.clusters[c].modules[root] = true
	d.add(Edit{Op: "add", Kind: "module", Cluster: c, ContextRoot: root})
}

// module picks a module of a cluster without clients.
func (d *draft) module() (c, root string, ok bool) {
	if c, ok = d.unsettled(); !ok || d.named["cluster "+c] {
		return "", "", false
	}
	if root, ok = pick(d.random, keys(d.m.clusters[c].modules)); !ok || !d.claim("module %s", root) {
		return "", "", false
	}
	d.named["inside "+c] = true
	return c, root, true
}

func (d *draft) toggleModule() {
	c, root, ok := d.module()
	if !ok {
		return
	}
	op := "disable"
	if !d.m.clusters[c].modules[root] {
		op = "enable"
	}
	d.m.clusters[c].modules[root] = !d.m.clusters[c].modules[root]
	d.add(Edit{Op: op, Kind: "module", Cluster: c, ContextRoot: root})
}

func (d *draft) removeModule() {
	c, root, ok := d.module()
	if !ok {
		return
	}
	delete(d.m.clusters[c].modules, root)
	d.add(Edit{Op: "remove", Kind: "module", Cluster: c, ContextRoot: root})
}

func (d *draft) addListener() {
	if len(d.m.extra) > 3 {
		return
	}
	name := d.m.fresh("listener")
	d.named["listener "+name] = true
	d.m.extra[name] = true
	// Of a node that the group does not have: nobody opens it, so no port of this machine is taken.
	d.add(Edit{Op: "add", Kind: "listener", Name: name, Values: map[string]any{"address": fmt.Sprintf(":%d", 1024+d.m.counter), "nodes": []string{"nobody"}}})
}

func (d *draft) removeListener() {
	name, ok := pick(d.random, keys(d.m.extra))
	if !ok || !d.claim("listener %s", name) {
		return
	}
	delete(d.m.extra, name)
	d.add(Edit{Op: "remove", Kind: "listener", Name: name})
}
