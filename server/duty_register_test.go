package server

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

func openCluster() config.Cluster {
	c := testCluster("i1")
	c.Registration = config.Registration{Allow: true, Heartbeat: config.Duration(500 * time.Millisecond), DropAfter: config.Duration(3 * time.Second)}
	return c
}

func (d *registerDuty) mustBeat(t *testing.T, in config.Instance) fsm.Result {
	t.Helper()
	r, err := d.beat(t.Context(), "c1", in, "token t1")
	if err != nil || r.Code != fsm.CodeOK {
		t.Errorf("heartbeat: %+v, %v", r, err)
	}
	return r
}

func (g *fakeGroup) registered() int { return len(g.Operating().Registered) }

// TestInstanceIsDroppedAfter3000ms without a heartbeat; one every 500 ms keeps it and costs no entry. (TC-31, TC-32)
func TestInstanceIsDroppedAfter3000ms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGroup(openCluster())
		tm := g.term("n1")
		d := newRegisterDuty(tm)
		defer g.lead(tm, d)()
		in := config.Instance{Name: "self", Listeners: []string{"http://127.0.0.1:9001"}, Enabled: true, Weight: 1}
		if r := d.mustBeat(t, in); r.Index == 0 {
			t.Error("the first heartbeat has no index to wait for")
		}
		for range 600 {
			time.Sleep(500 * time.Millisecond)
			d.mustBeat(t, in)
		}
		wantCount[*fsm.InstanceRegister](t, g, 1)
		in.Listeners = []string{"http://127.0.0.1:9002"}
		d.mustBeat(t, in)
		wantCount[*fsm.InstanceRegister](t, g, 2)
		time.Sleep(2990 * time.Millisecond)
		synctest.Wait()
		if g.registered() != 1 {
			t.Error("dropped before 3000 ms of silence")
		}
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		if g.registered() != 0 {
			t.Error("not dropped after 3000 ms of silence")
		}
		drop := g.commands[len(g.commands)-1].(*fsm.InstanceDrop)
		if drop.Reason != "no heartbeat for 3s" || len(drop.Instances) != 1 || drop.Instances[0] != (fsm.InstanceRef{Cluster: "c1", Instance: "self"}) {
			t.Errorf("dropped by %+v", drop)
		}
		d.mustBeat(t, in)
		if g.registered() != 1 {
			t.Error("it does not come back")
		}
	})
}

// TestNewLeaderGrantsTheWholeTime: nobody is dropped because the leader was killed.
func TestNewLeaderGrantsTheWholeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGroup(openCluster())
		in := config.Instance{Name: "self"}
		tm := g.term("n1")
		d := newRegisterDuty(tm)
		kill := g.lead(tm, d)
		d.mustBeat(t, in)
		for range 10 {
			time.Sleep(2500 * time.Millisecond)
			kill()
			tm = g.term("n2")
			d = newRegisterDuty(tm)
			kill = g.lead(tm, d)
		}
		time.Sleep(2900 * time.Millisecond)
		synctest.Wait()
		if g.registered() != 1 {
			t.Error("dropped although each leader was there for less than three seconds")
		}
		// The same content is no command, even to a leader that has not heard it yet.
		d.mustBeat(t, in)
		wantCount[*fsm.InstanceRegister](t, g, 1)
		time.Sleep(3*time.Second + 10*time.Millisecond)
		synctest.Wait()
		kill()
		if g.registered() != 0 {
			t.Error("never dropped")
		}
	})
}

func TestGoodbyeDropsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGroup(openCluster())
		d := newRegisterDuty(g.term("n1"))
		d.mustBeat(t, config.Instance{Name: "self"})
		if r, err := d.bye(t.Context(), "c1", "self", "token t1"); err != nil || r.Code != fsm.CodeOK || g.registered() != 0 {
			t.Errorf("%+v, %v, %d registered", r, err, g.registered())
		}
		if r, err := d.bye(t.Context(), "c1", "self", "token t1"); err != nil || r.Code != fsm.CodeAbsent {
			t.Errorf("again: %+v, %v", r, err)
		}
	})
}

// TestHeartbeatIsRefused without an entry in the log.
func TestHeartbeatIsRefused(t *testing.T) {
	open, shut := openCluster(), testCluster()
	shut.Name = "c2"
	g := newFakeGroup(open, shut)
	d := newRegisterDuty(g.term("n1"))
	for name, c := range map[string]struct{ cluster, instance string }{
		"no such cluster": {"c9", "x"}, "not allowed": {"c2", "x"}, "configured already": {"c1", "i1"},
	} {
		r, err := d.beat(t.Context(), c.cluster, config.Instance{Name: c.instance}, "")
		if err != nil || r.Code != fsm.CodeInvalid || r.Message == "" {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	if len(g.commands) != 0 {
		t.Errorf("%d commands for what is known to be refused", len(g.commands))
	}
	// What only the state knows to be wrong is asked for once.
	d.propose = stateThatRefuses(g)
	for range 5 {
		if r, err := d.beat(t.Context(), "c1", config.Instance{Name: "bad"}, ""); err != nil || r.Code != fsm.CodeInvalid {
			t.Errorf("%+v, %v", r, err)
		}
	}
	if len(g.commands) != 1 {
		t.Errorf("%d commands, want 1", len(g.commands))
	}
	g.change(func(*fsm.Operating) {})
	if _, err := d.beat(t.Context(), "c1", config.Instance{Name: "bad"}, ""); err != nil || len(g.commands) != 2 {
		t.Errorf("%d commands after a change of the group, want 2; %v", len(g.commands), err)
	}
}

// TestManyAreDroppedInParts: when hundreds fall silent together, no command makes more events than the group keeps.
func TestManyAreDroppedInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGroup(openCluster())
		g.change(func(op *fsm.Operating) {
			for i := range 250 {
				op.Registered = append(op.Registered, fsm.Registration{Cluster: "c1", Instance: config.Instance{Name: fmt.Sprint("r", i)}})
			}
		})
		tm := g.term("n1")
		defer g.lead(tm, newRegisterDuty(tm))()
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if n := len(g.Operating().Registered); n != 0 {
			t.Errorf("%d are left", n)
		}
		for _, c := range g.commands {
			if n := len(c.(*fsm.InstanceDrop).Instances); n > 100 {
				t.Errorf("%d are dropped with one command", n)
			}
		}
	})
}

// TestFrozenLeaderDropsNobody: who stood still could not hear anybody.
func TestFrozenLeaderDropsNobody(t *testing.T) {
	g := newFakeGroup(openCluster())
	d := newRegisterDuty(g.term("n1"))
	d.mustBeat(t, config.Instance{Name: "self"})
	now := time.Now()
	d.silent(g.Operating(), now)
	if list, _ := d.silent(g.Operating(), now.Add(time.Minute)); len(list) != 0 {
		t.Errorf("silent: %v", list)
	}
	later := now.Add(time.Minute)
	for range 7 {
		later = later.Add(500 * time.Millisecond)
		if list, _ := d.silent(g.Operating(), later); len(list) != 0 {
			if later.Sub(now.Add(time.Minute)) < 2500*time.Millisecond {
				t.Error("dropped early")
			}
			return
		}
	}
	t.Error("never dropped")
}
