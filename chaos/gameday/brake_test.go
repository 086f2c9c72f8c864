package gameday

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/record"
)

// site is what clients use; as long as bad is set it answers with 502.
func site(t *testing.T) (url string, bad *atomic.Bool) {
	bad = new(atomic.Bool)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if bad.Load() {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, bad
}

// TestClientsErrorsEndWhatIsBeingDone: a backup that has no end, a hand-over that hangs and a hook that does not come back are ended as soon as clients get errors.
func TestClientsErrorsEndWhatIsBeingDone(t *testing.T) {
	for _, fault := range []string{"transfer", "evacuate", "backup", Kill} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			url, bad := site(t)
			d, _ := killable(t)
			d.first = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPost && r.URL.Path != "/v1/backup" {
					return false
				}
				_, _ = io.Copy(io.Discard, r.Body) // else the server does not see that the client hangs up
				if r.Method == http.MethodGet {
					w.Header().Set("Holdfast-Index", "7")
					_, _ = w.Write(make([]byte, 1000))
					_ = http.NewResponseController(w).Flush()
				}
				<-r.Context().Done()
				return true
			}
			o := options(t, d)
			o.Faults, o.Count, o.Probes, o.Patience, o.Hooks = []string{fault}, 1, []string{url}, 10*time.Second, hooks("sleep 100", "")
			o.Record.Listen(func(e record.Event) {
				if e.Kind == record.FaultBegins {
					bad.Store(true)
				}
			})
			began := time.Now()
			if err := Play(t.Context(), o); !errors.Is(err, ErrBrake) || !strings.Contains(err.Error(), "status 502") || time.Since(began) > 10*time.Second {
				t.Errorf("%v after %v", err, time.Since(began))
			}
			if fault == "evacuate" && !strings.HasPrefix(strings.Join(d.calls(), " "), "DELETE /v1/nodes/n1/evacuate") {
				t.Errorf("asked %v", d.calls())
			}
		})
	}
}

// TestGroupsBrakesWhileSomethingGoesOn: what is wrong with the group and is not the fault's own doing ends it; the fault's own doing does not.
func TestGroupsBrakesWhileSomethingGoesOn(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*client.Status)
		want   string
	}{
		"its own doing":      {func(*client.Status) {}, ""},
		"a second node dies": {func(s *client.Status) { s.Nodes[2].Reachable = false }, "node n3 does not answer"},
		"it dies itself":     {func(s *client.Status) { s.Nodes[0].Reachable = false }, "node n1 does not answer"},
		"nobody leads":       {func(s *client.Status) { s.Leader = "" }, "has no majority"},
		"a lock":             {func(s *client.Status) { s.Maintenance = decode[client.Status](t, `{"maintenance": {}}`).Maintenance }, "the maintenance lock is on"},
		"a quiesce":          {func(s *client.Status) { s.Quiesces = append(s.Quiesces, client.Quiesce{}) }, "a quiesce runs"},
		"another evacuation": {func(s *client.Status) { s.Evacuated = append(s.Evacuated, client.Evacuation{Node: "n2"}) }, "node n2 is evacuated"},
		"of a node behind": {func(s *client.Status) {
			s.Consistency, s.Quiesces = "stale", append(s.Quiesces, client.Quiesce{})
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &deployment{status: whole()}
			d.look = func(d *deployment) {
				s := whole()
				if n := len(d.asked); n > 0 && strings.HasPrefix(d.asked[n-1], http.MethodPost) {
					e := client.Evacuation{Node: "n1"}
					s.Leader, s.Evacuated, s.Nodes[0].Evacuated, s.Nodes[0].Ready = "n2", append(s.Evacuated, e), &e, false
					c.change(s)
				}
				d.status = s
			}
			o := options(t, d)
			o.Faults, o.Count, o.For, o.bear = []string{"evacuate"}, 1, time.Minute, 1500*time.Millisecond
			if c.want == "" {
				o.For = 3 * time.Second
			}
			began := time.Now()
			err := Play(t.Context(), o)
			if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrBrake) || !strings.Contains(err.Error(), c.want)) || time.Since(began) > 30*time.Second {
				t.Errorf("%v after %v", err, time.Since(began))
			}
			if calls := d.calls(); len(calls) != 2 || calls[1] != "DELETE /v1/nodes/n1/evacuate" {
				t.Errorf("asked %v", calls)
			}
		})
	}
}

// TestADeadNodeIsNoBrakeOfItsOwnDeath: the death of another one is.
func TestADeadNodeIsNoBrakeOfItsOwnDeath(t *testing.T) {
	for name, second := range map[string]bool{"alone": false, "with another one": true} {
		d, down := killable(t)
		look := d.look
		d.look = func(d *deployment) {
			look(d)
			d.status.Nodes[2].Reachable = !second || d.status.Nodes[1].Reachable
		}
		o := options(t, d)
		o.Faults, o.Count, o.For, o.bear = []string{Kill}, 1, 3*time.Second, 1500*time.Millisecond
		o.Hooks = hooks("echo killed >> "+strings.TrimSuffix(down, "down")+"said; touch "+down, "rm "+down)
		if second {
			o.For = time.Minute
		}
		err := Play(t.Context(), o)
		if !second && err != nil || second && (!errors.Is(err, ErrBrake) || !strings.Contains(err.Error(), "node n3 does not answer")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAnOutageIsABrake: an outage in which all requests hang, and are answered well in the end, is one.
func TestAnOutageIsABrake(t *testing.T) {
	hang, free := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
			select {
			case <-free:
			case <-r.Context().Done():
			}
		default:
		}
	}))
	defer server.Close()
	defer close(free)
	o := options(t, &deployment{status: whole()})
	o.Faults, o.Count, o.For, o.Probes, o.Patience = []string{"evacuate"}, 1, time.Minute, []string{server.URL}, 10*time.Second
	o.MaxFailed, o.MaxOutage = 1, time.Second
	o.Record.Listen(func(e record.Event) {
		if e.Kind == record.FaultBegins {
			close(hang)
		}
	})
	began := time.Now()
	if err := Play(t.Context(), o); !errors.Is(err, ErrBrake) || !strings.Contains(err.Error(), "no probe has had a good answer for") || time.Since(began) > 30*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	if _, failed, _ := o.Record.Snapshot().Requests(); failed == 0 {
		t.Error("a probe that hung was a good one")
	}
}

// TestAnOutageThatIsOverCounts: between two looks of those who watch, or while something was taken back.
func TestAnOutageThatIsOverCounts(t *testing.T) {
	rec := record.New(record.Run{})
	g := &game{Options: Options{Record: rec, MaxOutage: 2 * time.Second}}
	begin := time.Now()
	rec.Request(begin, begin, true, 0)
	number := rec.Begin("transfer", "n2", "")
	rec.Request(begin, begin.Add(1900*time.Millisecond), true, 0)
	if err := g.outage(number); err != nil {
		t.Error(err)
	}
	rec.Request(begin, begin.Add(4*time.Second), true, 0)
	if err := g.outage(number); !errors.Is(err, ErrBrake) || !strings.Contains(err.Error(), "2.10 s") {
		t.Errorf("%v", err)
	}
	g.MaxOutage = 0
	if err := g.outage(number); err != nil {
		t.Error(err)
	}
}
