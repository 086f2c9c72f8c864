package lb

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// editModel is what random edits have made of the instances of c1.
type editModel struct {
	t    *testing.T
	r    *rig
	rnd  *rand.Rand
	apps []*app
	conf *config.Config
	// phase of the instances that are configured.
	phase map[string]fsm.Phase
}

func (m *editModel) serving() (names []string) {
	for _, in := range m.conf.Clusters[0].Instances {
		if m.phase[in.Name] == fsm.PhaseServing {
			names = append(names, in.Name)
		}
	}
	return names
}

// edit makes one random change and puts it into force.
func (m *editModel) edit() string {
	c := clone(m.conf)
	cl := &c.Clusters[0]
	i := m.rnd.IntN(len(cl.Instances))
	in := &cl.Instances[i]
	what := fmt.Sprint(m.rnd.IntN(12))
	switch what {
	case "0", "1":
		in.Weight = m.rnd.IntN(5)
	case "2": // out of service, if two others stay
		if len(m.serving()) < 3 || m.phase[in.Name] != fsm.PhaseServing {
			return what
		}
		in.Enabled = false
		m.phase[in.Name] = fsm.PhaseQuiescing
	case "3":
		in.Enabled = true
		m.phase[in.Name] = fsm.PhaseServing
	case "4":
		m.r.g.endQuiesces()
		for name, p := range m.phase {
			if p == fsm.PhaseQuiescing {
				m.phase[name] = fsm.PhaseStopped
			}
		}
	case "5":
		if len(m.serving()) < 3 {
			return what
		}
		delete(m.phase, in.Name)
		cl.Instances = slices.Delete(cl.Instances, i, i+1)
	case "6": // an absent one comes (back)
		for _, a := range m.apps {
			if _, there := m.phase[a.name]; !there {
				cl.Instances = append(cl.Instances, inst(a.name, a.URL))
				m.phase[a.name] = fsm.PhaseServing
				break
			}
		}
	case "7":
		cl.Policy = append(weightedPolicies, "round-robin")[m.rnd.IntN(6)]
		cl.SlowStart = config.Duration(m.rnd.IntN(2)) * config.Duration(time.Minute)
	case "8":
		cl.Health.Interval = config.Duration(time.Duration(1+m.rnd.IntN(60)) * time.Minute)
	case "9":
		if cl.Modules = cl.Modules[:1]; m.rnd.IntN(2) == 0 {
			cl.Modules = append(cl.Modules, config.Module{ContextRoot: "/other", Enabled: true, Replicated: true})
		}
	case "10":
		if c.Clusters = c.Clusters[:1]; m.rnd.IntN(2) == 0 {
			other := clone(c).Clusters[0]
			other.Name, other.Modules = "c2", []config.Module{{ContextRoot: "/elsewhere", Enabled: true}}
			c.Clusters = append(c.Clusters, other)
		}
	case "11":
		m.r.g.operate(func(o *fsm.Operating) {
			o.Verdicts = []fsm.Verdict{{Instance: fsm.InstanceID(1 + m.rnd.IntN(5)), State: fsm.HealthSuspect}}
		})
	}
	m.conf = c
	m.r.apply(c)
	m.r.inForce()
	return what
}

// TestRandomEditsMoveOnlyWhatTheyName: sessions go elsewhere when, and only when, an edit takes their instance away; open WebSockets stay open.
func TestRandomEditsMoveOnlyWhatTheyName(t *testing.T) { // SUN-65, SUN-68
	const edits, sessions, tunnels = 150, 24, 60
	m := &editModel{t: t, rnd: rand.New(rand.NewPCG(7, 7)), phase: map[string]fsm.Phase{}}
	for i := range 5 {
		name := fmt.Sprint("i", i+1)
		m.apps = append(m.apps, newApp(t, name, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") != "" {
				wsEcho(w, r)
				return
			}
			io.WriteString(w, name)
		}))
		m.phase[name] = fsm.PhaseServing
	}
	m.conf = conf(of(m.apps...)...)
	m.r = newRig(t, m.conf)
	clients, on := make([]*client, sessions), make([]string, sessions)
	for i := range clients {
		clients[i] = newClient(t)
		on[i] = clients[i].get(m.r.url("/")).body
	}
	open := make([]*rawConn, tunnels)
	for i := range open {
		open[i] = dialRaw(t, m.r)
		open[i].write(wsRequest)
		if open[i].response().StatusCode != 101 {
			t.Fatal("no switch")
		}
		io.ReadFull(open[i].in, make([]byte, len("hello ")))
	}
	moved := 0
	for n := range edits {
		what := m.edit()
		for i, cl := range clients {
			got := cl.get(m.r.url("/"))
			phase, there := m.phase[on[i]]
			if there && phase != fsm.PhaseStopped {
				if got.body != on[i] {
					t.Fatalf("edit %d (%s) moved a session from %s to %d %s", n, what, on[i], got.StatusCode, got.body)
				}
				continue
			}
			if m.phase[got.body] != fsm.PhaseServing || !slices.Contains(m.serving(), got.body) {
				t.Fatalf("edit %d (%s): a session of %s went to %d %s", n, what, on[i], got.StatusCode, got.body)
			}
			on[i] = got.body
			moved++
		}
		if got := newClient(t).get(m.r.url("/")); got.StatusCode != 200 && slices.ContainsFunc(m.conf.Clusters[0].Instances, func(in config.Instance) bool { return in.Enabled && in.Weight > 0 }) {
			t.Fatalf("edit %d (%s): new session: %d", n, what, got.StatusCode)
		}
	}
	for i, c := range open {
		c.write("ping")
		got := make([]byte, 4)
		if _, err := io.ReadFull(c.in, got); err != nil || string(got) != "ping" {
			t.Fatalf("tunnel %d: %q %v", i, got, err)
		}
	}
	if moved == 0 || len(m.r.g.moves()) != moved {
		t.Errorf("%d sessions moved, %d on record", moved, len(m.r.g.moves()))
	}
	// The last request is in flight until right after its answer has left.
	m.r.wait("nothing but the tunnels is in flight", func() bool { return m.r.modules()["c1/"] == tunnels })
}

// BenchmarkReconcile is what a change of a verdict costs with 300 instances (TC-08).
func BenchmarkReconcile(b *testing.B) {
	var list []config.Instance
	for i := range 300 {
		list = append(list, inst(fmt.Sprint("i", i), fmt.Sprintf("http://127.0.0.1:%d", 10000+i)))
	}
	cc := conf(list...)
	cc.Clusters[0].Health.Type, cc.Clusters[0].Policy = "none", "weighted-round-robin"
	r := newRig(b, cc)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.g.with(func() {
			next := *r.g.oper
			next.Index++
			next.Verdicts = []fsm.Verdict{{Instance: fsm.InstanceID(1 + i%300), State: fsm.HealthSuspect}}
			r.g.oper = &next
		})
		r.b.reconcile()
	}
}
