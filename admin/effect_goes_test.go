package admin_test

import (
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

const blueGreen = `
clusters:
  - name: blue
    modules: [{contextRoot: /shop}, {contextRoot: /only}]
    instances: [{name: b1, listeners: ["http://127.0.0.1:9001"]}, {name: b2, listeners: ["http://127.0.0.1:9002"]}]
  - name: green
    modules: [{contextRoot: /shop}]
    instances: [{name: g1, listeners: ["http://127.0.0.1:9003"]}]
  - name: alone
    modules: [{contextRoot: /alone}]
    instances: [{name: a1, listeners: ["http://127.0.0.1:9004"]}]
`

// TestEffectSaysWhereSessionsGo: with plan and change alike. Other instances of the cluster come first, then other clusters that serve the module;
// without any of them there is nowhere to go.
func TestEffectSaysWhereSessionsGo(t *testing.T) {
	const edits = `{"edits":[`
	off := func(cluster, instance string) string {
		return `{"op":"disable","kind":"instance","cluster":"` + cluster + `","name":"` + instance + `"}`
	}
	module := func(cluster, root string) string {
		return `{"op":"disable","kind":"module","cluster":"` + cluster + `","contextRoot":"` + root + `"}`
	}
	at := func(cluster, instance, root string) fsm.Subject {
		return fsm.Subject{Cluster: cluster, Instance: instance, ContextRoot: root}
	}
	register := func(o *fsm.Operating) {
		o.Registered = []fsm.Registration{{Cluster: "alone", Instance: config.Instance{Name: "r1", Enabled: true}}}
	}
	for name, tc := range map[string]struct {
		edits   string
		subject fsm.Subject
		shape   func(*fsm.Operating)
		want    string
	}{
		"others in the cluster":             {off("blue", "b1"), at("blue", "b1", ""), nil, wire.GoesToInstances},
		"the whole cluster, for a part":     {off("blue", "b1") + "," + off("blue", "b2"), at("blue", "b1", ""), nil, wire.GoesToSome},
		"the whole cluster":                 {off("green", "g1"), at("green", "g1", ""), nil, wire.GoesToClusters},
		"the whole cluster, and its module": {module("green", "/shop") + "," + off("green", "g1"), at("green", "g1", ""), nil, wire.GoesToClusters},
		"nobody else":                       {off("alone", "a1"), at("alone", "a1", ""), nil, wire.GoesNowhere},
		"one that registered itself":        {off("alone", "a1"), at("alone", "a1", ""), register, wire.GoesToInstances},
		"both clusters":                     {off("green", "g1") + "," + off("blue", "b1") + "," + off("blue", "b2"), at("green", "g1", ""), nil, wire.GoesNowhere},
		"module, another cluster":           {module("blue", "/shop"), at("blue", "", "/shop"), nil, wire.GoesToClusters},
		"module, nobody else":               {module("blue", "/only"), at("blue", "", "/only"), nil, wire.GoesNowhere},
		"module, the other is without":      {module("blue", "/shop") + "," + off("green", "g1"), at("blue", "", "/shop"), nil, wire.GoesNowhere},
		"module, disabled there as well":    {module("blue", "/shop") + "," + module("green", "/shop"), at("blue", "", "/shop"), nil, wire.GoesNowhere},
		"removed with its cluster":          {`{"op":"remove","kind":"cluster","name":"green"}`, at("green", "g1", ""), nil, wire.GoesToClusters},
		"removed with its cluster, alone":   {`{"op":"remove","kind":"cluster","name":"alone"}`, at("alone", "a1", ""), nil, wire.GoesNowhere},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			r := newRig(t)
			decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"0"`, "", blueGreen))
			if tc.shape != nil {
				r.node.view.operating(tc.shape)
			}
			effect := fsm.Effect{Stopped: []fsm.Displaced{{Subject: tc.subject, Why: "stopped", Sessions: 3}}}
			r.node.view.plan = func(*config.Config, []fsm.Subject) fsm.Effect { return effect }
			r.node.answer = func(fsm.Command) (fsm.Result, bool) { return fsm.Result{Revision: 2, Effect: &effect}, true }
			p := decode[wire.Plan](t, post(r.api, "POST", "/v1/config/plan", edits+tc.edits+`]}`))
			if got := p.Effect.Stopped[0].Goes; got != tc.want {
				t.Errorf("planned: sessions go %q, want %q", got, tc.want)
			}
			res := decode[wire.ConfigResult](t, post(r.api, "POST", "/v1/config/edits", edits+tc.edits+`]}`))
			if got := res.Effect.Stopped[0].Goes; got != tc.want {
				t.Errorf("done: sessions go %q, want %q", got, tc.want)
			}
		})
	}
}

// TestSessionsOfModulesThatQuiesceGoOn: 'cluster remove' disables the modules first, and --force takes the instances while they quiesce: their
// sessions are of modules that are disabled already, and go where those are served.
func TestSessionsOfModulesThatQuiesceGoOn(t *testing.T) {
	for cluster, want := range map[string]string{"green": wire.GoesToClusters, "alone": wire.GoesNowhere} {
		r := newRig(t)
		before := strings.NewReplacer("[{contextRoot: /shop}]", "[{contextRoot: /shop, enabled: false}]",
			"[{contextRoot: /alone}]", "[{contextRoot: /alone, enabled: false}]").Replace(blueGreen)
		decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"0"`, "", before))
		r.node.view.plan = func(*config.Config, []fsm.Subject) fsm.Effect {
			return fsm.Effect{Stopped: []fsm.Displaced{{Subject: fsm.Subject{Cluster: cluster, Instance: cluster[:1] + "1"}, Why: "removed", Sessions: 3}}}
		}
		body := `{"edits":[{"op":"remove","kind":"cluster","name":"` + cluster + `"}]}`
		if got := decode[wire.Plan](t, post(r.api, "POST", "/v1/config/plan", body)).Effect.Stopped[0].Goes; got != want {
			t.Errorf("sessions of cluster %s go %q, want %q", cluster, got, want)
		}
	}
}

// TestFailedInstancesTakeNoSessions: what the group has found failed is nowhere to go.
func TestFailedInstancesTakeNoSessions(t *testing.T) {
	r := newRig(t)
	decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"0"`, "", blueGreen))
	b2, _ := r.node.state.InstanceID("blue", "b2")
	g1, _ := r.node.state.InstanceID("green", "g1")
	r.node.view.operating(func(o *fsm.Operating) {
		o.Verdicts = []fsm.Verdict{{Instance: b2, State: fsm.HealthFailed}, {Instance: g1, State: fsm.HealthFailed}}
	})
	r.node.view.plan = func(*config.Config, []fsm.Subject) fsm.Effect {
		return fsm.Effect{Stopped: []fsm.Displaced{{Subject: fsm.Subject{Cluster: "blue", Instance: "b1"}, Why: "stopped"}}}
	}
	body := `{"edits":[{"op":"disable","kind":"instance","cluster":"blue","name":"b1"}]}`
	if got := decode[wire.Plan](t, post(r.api, "POST", "/v1/config/plan", body)).Effect.Stopped[0].Goes; got != wire.GoesNowhere {
		t.Errorf("sessions go %q", got)
	}
}

// TestRemovalOfAllListenersIsWarnedOf: what the plan says of sessions is not all then.
func TestRemovalOfAllListenersIsWarnedOf(t *testing.T) {
	r := newRig(t)
	decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"0"`, "", okConfig))
	for text, want := range map[string]bool{"{}": true, okConfig: false} {
		p := decode[wire.Plan](t, post(r.api, "POST", "/v1/config/plan", text, "Content-Type", "application/yaml"))
		if got := strings.Contains(strings.Join(p.Warnings, "\n"), "no listener is left (1 before)"); got != want {
			t.Errorf("%q: %q", text, p.Warnings)
		}
	}
}

// TestWarningsOfRemovalsAreTheEffects: what is said of the sessions of instances and clusters that a file does not name any more is what becomes of them, before the change and with it.
func TestWarningsOfRemovalsAreTheEffects(t *testing.T) {
	without := func(lines ...string) string {
		text := blueGreen
		for _, l := range lines {
			if !strings.Contains(text, l) {
				t.Fatalf("%q is not there", l)
			}
			text = strings.Replace(text, l, "", 1)
		}
		return text
	}
	const (
		blue = `  - name: blue
    modules: [{contextRoot: /shop}, {contextRoot: /only}]
    instances: [{name: b1, listeners: ["http://127.0.0.1:9001"]}, {name: b2, listeners: ["http://127.0.0.1:9002"]}]
`
		green = `  - name: green
    modules: [{contextRoot: /shop}]
    instances: [{name: g1, listeners: ["http://127.0.0.1:9003"]}]
`
		alone = `  - name: alone
    modules: [{contextRoot: /alone}]
    instances: [{name: a1, listeners: ["http://127.0.0.1:9004"]}]
`
		b1 = `{name: b1, listeners: ["http://127.0.0.1:9001"]}, `
		g1 = `{name: g1, listeners: ["http://127.0.0.1:9003"]}`
		a1 = `{name: a1, listeners: ["http://127.0.0.1:9004"]}`
	)
	for _, tc := range []struct{ next, cluster, instance, want string }{
		{without(b1), "blue", "b1", "instance b1 of cluster blue is removed: its 1 session fails over to the others of the cluster"},
		{without(g1), "green", "g1", "instance g1 of cluster green is removed: its 1 session begins anew in another cluster"},
		{without(a1), "alone", "a1", "instance a1 of cluster alone is removed: its 1 session gets 503, for nothing else serves it"},
		{without(green), "green", "g1", "cluster green is removed: the 1 session of its instance g1 begins anew in another cluster"},
		{without(blue), "blue", "b1", "cluster blue is removed: the 1 session of its instance b1 begins anew in another cluster that serves the module, or gets 503 where there is none"},
		{without(blue, green), "blue", "b1", "cluster blue is removed: the 1 session of its instance b1 gets 503, for nothing else serves it"},
		{without(alone), "alone", "a1", "cluster alone is removed: the 1 session of its instance a1 gets 503, for nothing else serves it"},
	} {
		r := newRig(t)
		decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"0"`, "", blueGreen))
		id, ok := r.node.state.InstanceID(tc.cluster, tc.instance)
		if !ok {
			t.Fatalf("%s has no id", tc.instance)
		}
		r.node.sessions(t, fsm.SessionOp{Kind: fsm.OpAssign, Key: fsm.Key{1}, Instance: id})
		about := func(list []string) (out []string) {
			for _, w := range list {
				if strings.Contains(w, "is removed") {
					out = append(out, w)
				}
			}
			return out
		}
		planned := about(decode[wire.Plan](t, send(r.api, "POST", "/v1/config/plan", "application/yaml", strings.NewReader(tc.next))).Warnings)
		done := about(decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"1"`, "", tc.next)).Warnings)
		if len(planned) != 1 || planned[0] != tc.want || len(done) != 1 || done[0] != tc.want {
			t.Errorf("planned %q, done %q, want %q", planned, done, tc.want)
		}
	}
}
