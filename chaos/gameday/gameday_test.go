package gameday

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/record"
)

// whole is a group of three that is well.
func whole() *client.Status {
	s := &client.Status{Quorum: true, Leader: "n1", StateHash: "equal"}
	for _, name := range []string{"n1", "n2", "n3"} {
		s.Nodes = append(s.Nodes, client.Node{Name: name, Voter: true, Reachable: true, Ready: true})
	}
	return s
}

// TestBrakes: nothing is done to a group that is not whole.
func TestBrakes(t *testing.T) {
	if why := Brake(whole()); why != "" {
		t.Errorf("a whole group: %s", why)
	}
	for want, change := range map[string]func(*client.Status){
		"no majority":               func(s *client.Status) { s.Quorum = false },
		"has no majority":           func(s *client.Status) { s.Leader = "" },
		"node n2 does not answer":   func(s *client.Status) { s.Nodes[1].Reachable = false },
		"node n3 is not ready":      func(s *client.Status) { s.Nodes[2].Ready = false },
		"entries behind":            func(s *client.Status) { s.Nodes[1].Lag = 5000 },
		"loss of the majority":      func(s *client.Status) { s.Nodes = s.Nodes[:2] },
		"states of the nodes":       func(s *client.Status) { s.StateHash = "differs" },
		"maintenance lock":          func(s *client.Status) { s.Maintenance = decode[client.Status](t, `{"maintenance": {}}`).Maintenance },
		"a workflow runs":           func(s *client.Status) { s.Workflows = decode[client.Status](t, `{"workflows": [{}]}`).Workflows },
		"a quiesce runs":            func(s *client.Status) { s.Quiesces = append(s.Quiesces, client.Quiesce{}) },
		"node n2 is evacuated":      func(s *client.Status) { s.Evacuated = append(s.Evacuated, client.Evacuation{Node: "n2"}) },
		"n2 does not answer, node ": func(s *client.Status) { s.Nodes[1].Reachable, s.Nodes[2].Ready = false, false },
	} {
		s := whole()
		change(s)
		if why := Brake(s); !strings.Contains(why, want) {
			t.Errorf("%q, want %q", why, want)
		}
	}
	readers := whole()
	readers.Nodes = append(readers.Nodes, client.Node{Name: "r1"})
	if why := Brake(readers); why != "" {
		t.Errorf("a node without a vote that is down is no brake: %s", why)
	}
}

func decode[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// deployment is an admin API that remembers what it was asked to do.
type deployment struct {
	mu     sync.Mutex
	status *client.Status
	asked  []string
	refuse bool
	look   func(*deployment)                                 // called before each look at it
	first  func(w http.ResponseWriter, r *http.Request) bool // answers instead of it, if it says so
}

func (d *deployment) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.first != nil && d.first(w, r) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodGet {
		if d.look != nil {
			d.look(d)
		}
		_ = json.NewEncoder(w).Encode(d.status)
		return
	}
	d.asked = append(d.asked, r.Method+" "+r.URL.Path)
	if d.refuse && r.Method == http.MethodPost {
		problem(w, http.StatusConflict, "refused")
		return
	}
	if r.Method == http.MethodDelete {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	_, _ = w.Write([]byte("{}"))
}

func problem(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"status": %d, "code": %q, "detail": "not now"}`, status, code)
}

func (d *deployment) calls() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.asked...)
}

func options(t *testing.T, d *deployment) Options {
	t.Helper()
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	c, err := client.New(client.Options{URLs: []string{server.URL}, Rounds: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return Options{
		Client: c, Record: record.New(record.Run{}), Faults: []string{"transfer", "evacuate"}, Count: 6, For: 20 * time.Millisecond, Pause: time.Millisecond, Seed: 1,
		Execute: true, MaxFailed: 0.01, Patience: 300 * time.Millisecond, aftermath: time.Millisecond,
	}
}

// TestEverythingIsTakenBack: each evacuation is undone, and the same seed does the same.
func TestEverythingIsTakenBack(t *testing.T) {
	var before []string
	for range 2 {
		d := &deployment{status: whole()}
		o := options(t, d)
		if err := Play(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		calls := strings.Join(d.calls(), " ")
		done, undone := strings.Count(calls, "POST /v1/nodes/n1/evacuate"), strings.Count(calls, "DELETE /v1/nodes/n1/evacuate")
		if done == 0 || done != undone || !strings.Contains(calls, "/transfer") {
			t.Errorf("asked: %s", calls)
		}
		if before != nil && strings.Join(before, " ") != calls {
			t.Errorf("the same seed did\n%s, then\n%s", before, calls)
		}
		before = d.calls()
		run := o.Record.Snapshot()
		if len(run.Faults) != 6 {
			t.Errorf("%d faults", len(run.Faults))
		}
	}
}

// TestNothingIsDoneUnlessAskedTo.
func TestNothingIsDoneUnlessAskedTo(t *testing.T) {
	d := &deployment{status: whole()}
	o := options(t, d)
	o.Execute, o.Pause = false, time.Hour // nobody needs to recover from what was not done
	if err := Play(t.Context(), o); err != nil || len(d.calls()) > 0 {
		t.Errorf("%v, asked %v", err, d.calls())
	}
	said := 0
	for _, e := range o.Record.Snapshot().Events {
		if strings.HasPrefix(e.Text, "would be done: ") {
			said++
		}
	}
	if said != 6 {
		t.Errorf("said of %d", said)
	}
}

// TestTheLastDeedIsLookedAfter: nothing comes behind it that would look at the group before it begins.
func TestTheLastDeedIsLookedAfter(t *testing.T) {
	d := &deployment{status: whole()}
	d.first = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodDelete { // the evacuation ends, and the node does not come back from it
			d.mu.Lock()
			d.status.Nodes[0].Ready = false
			d.mu.Unlock()
		}
		return false
	}
	o := options(t, d)
	o.Faults, o.Count = []string{"evacuate"}, 1
	if err := Play(t.Context(), o); !errors.Is(err, ErrBrake) || !strings.Contains(err.Error(), "after everything was taken back") || !strings.Contains(err.Error(), "n1 is not ready") {
		t.Errorf("%v", err)
	}
}

// TestBrakeCallsItOff: a group that is not whole is left alone.
func TestBrakeCallsItOff(t *testing.T) {
	d := &deployment{status: whole()}
	d.status.Nodes[2].Reachable = false
	if err := Play(t.Context(), options(t, d)); !errors.Is(err, ErrBrake) || len(d.calls()) > 0 || !strings.Contains(err.Error(), "node n3 does not answer") {
		t.Errorf("%v, asked %v", err, d.calls())
	}
}

// TestClientsErrorsAreABrake: what goes on is taken back when clients get errors.
func TestClientsErrorsAreABrake(t *testing.T) {
	var bad atomic.Bool
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if bad.Load() {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	defer site.Close()
	d := &deployment{status: whole()}
	o := options(t, d)
	o.Faults, o.Count, o.For, o.Probes, o.Patience = []string{"evacuate"}, 1, time.Minute, []string{site.URL}, 10*time.Second
	o.Record.Listen(func(e record.Event) {
		if e.Kind == record.FaultBegins {
			bad.Store(true)
		}
	})
	began := time.Now()
	err := Play(t.Context(), o)
	if !errors.Is(err, ErrBrake) || !strings.Contains(err.Error(), "status 502") || time.Since(began) > 30*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	if calls := d.calls(); len(calls) != 2 || calls[1] != "DELETE /v1/nodes/n1/evacuate" {
		t.Errorf("asked %v", calls)
	}
}

// TestNothingIsDoneBeforeAProbeWasAnswered: with a probe that nobody answers nothing would be noticed, however many may fail.
func TestNothingIsDoneBeforeAProbeWasAnswered(t *testing.T) {
	site := httptest.NewServer(http.NotFoundHandler())
	defer site.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	d := &deployment{status: whole()}
	o := options(t, d)
	o.Count, o.MaxFailed, o.Probes, o.Patience = 1, 1, []string{site.URL, gone.URL}, 4*time.Second
	if err := Play(t.Context(), o); !errors.Is(err, ErrBrake) || !strings.Contains(err.Error(), gone.URL) || strings.Contains(err.Error(), site.URL) || len(d.calls()) > 0 {
		t.Errorf("%v, asked %v", err, d.calls())
	}
	o = options(t, d)
	o.Count, o.Probes, o.Patience = 1, []string{site.URL}, 10*time.Second
	if err := Play(t.Context(), o); err != nil || len(d.calls()) == 0 {
		t.Errorf("%v, asked %v", err, d.calls())
	}
}

// TestInterruptionTakesBack: somebody presses Ctrl-C while a node is evacuated.
func TestInterruptionTakesBack(t *testing.T) {
	d := &deployment{status: whole()}
	o := options(t, d)
	o.Faults, o.For = []string{"evacuate"}, time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	o.Record.Listen(func(e record.Event) {
		if e.Kind == record.FaultBegins {
			cancel()
		}
	})
	if err := Play(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if calls := d.calls(); len(calls) == 0 || calls[len(calls)-1] != "DELETE /v1/nodes/n1/evacuate" {
		t.Errorf("asked %v", calls)
	}
}

// TestRefusals end it, with nothing to take back; what was refused is no fault that happened.
func TestRefusals(t *testing.T) {
	for _, fault := range []string{"transfer", "evacuate"} {
		d := &deployment{status: whole(), refuse: true}
		o := options(t, d)
		o.Faults = []string{fault}
		var problem *client.Problem
		if err := Play(t.Context(), o); !errors.As(err, &problem) {
			t.Errorf("%v", err)
		}
		run := o.Record.Snapshot()
		if len(run.Faults) != 1 || len(run.Played()) != 0 || !strings.Contains(run.Faults[0].Void, "not now") {
			t.Errorf("%s: %+v", fault, run.Faults)
		}
		if calls := d.calls(); len(calls) != 1 {
			t.Errorf("asked %v", calls)
		}
	}
	for _, faults := range [][]string{nil, {"nothing of the kind"}} {
		o := options(t, &deployment{status: whole()})
		o.Faults = faults
		if err := Play(t.Context(), o); err == nil {
			t.Errorf("%v was played", faults)
		}
	}
}
