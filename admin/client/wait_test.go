package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// script serves one status after the other; the last one stays. A nil is a node that does not answer, a refusal a problem.
type script struct {
	mu       sync.Mutex
	statuses []func(http.ResponseWriter)
	asked    int
}

func (s *script) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	at := min(s.asked, len(s.statuses)-1)
	s.asked++
	s.mu.Unlock()
	s.statuses[at](w)
}

// shows is a status in which instance i of cluster c has this state and so many requests in flight, and nodes obey these indices (0: silent).
func shows(admin string, flight int64, index uint64, obeys ...uint64) func(http.ResponseWriter) {
	s := wire.Status{Consistency: wire.Linearizable, OperatingIndex: index, Clusters: []wire.Cluster{{Name: "c",
		Instances: []wire.Instance{{Name: "i", Admin: admin, InFlight: flight, Sessions: 3}}, Modules: []wire.Module{{ContextRoot: "/m", Admin: admin, InFlight: flight}}}}}
	if admin == "gone" {
		s.Clusters = nil
	}
	if admin == wire.AdminQuiescing {
		s.Quiesces = []wire.Quiesce{{Subject: wire.Subject{Cluster: "c", Instance: "i"}, Remains: config.Duration(time.Minute)}}
	}
	for i, at := range obeys {
		s.Nodes = append(s.Nodes, wire.Node{Name: string(rune('a' + i)), Reachable: at > 0, InForce: at})
	}
	return func(w http.ResponseWriter) { json.NewEncoder(w).Encode(s) }
}

func refuses(status int, code string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(wire.NewProblem(status, code, "because"))
	}
}

// withoutQuorum is the answer of a node that is cut off: what it says about the instance does not count.
func withoutQuorum(w http.ResponseWriter) {
	json.NewEncoder(w).Encode(wire.Status{Consistency: wire.Stale, Clusters: []wire.Cluster{{Name: "c", Instances: []wire.Instance{{Name: "i", Admin: wire.AdminStopped}}}}})
}

func waitFor(t *testing.T, subject wire.Subject, silence time.Duration, statuses ...func(http.ResponseWriter)) (client.Waited, int, error) {
	t.Helper()
	s := &script{statuses: statuses}
	srv := httptest.NewServer(s)
	defer srv.Close()
	dead := "127.0.0.1:1" // a node that has died is no reason to stop
	c := connect(t, client.Options{URLs: []string{dead, strings.TrimPrefix(srv.URL, "http://")}, Rounds: 1})
	ctx, cancel := context.WithTimeoutCause(t.Context(), 5*time.Second, errors.New("still waiting"))
	defer cancel()
	w, err := c.WaitStopped(ctx, []wire.Subject{subject}, client.WaitOptions{Every: time.Millisecond, Silence: silence})
	return w, s.asked, err
}

// TestSafeToStop: SUN-51. Only when the quiesce is over, every node obeys that, and nothing is in flight anywhere, twice in a row.
func TestSafeToStop(t *testing.T) {
	stopped, quiescing := wire.AdminStopped, wire.AdminQuiescing
	for _, subject := range []wire.Subject{{Cluster: "c", Instance: "i"}, {Cluster: "c", ContextRoot: "/m"}} {
		for _, tc := range []struct {
			name     string
			statuses []func(http.ResponseWriter)
			looks    int
		}{
			{"at once", []func(http.ResponseWriter){shows(stopped, 0, 9, 9, 9)}, 2},
			{"gone", []func(http.ResponseWriter){shows("gone", 0, 9, 9, 9)}, 2},
			{"quiesces first", []func(http.ResponseWriter){shows(quiescing, 0, 9, 9), shows(quiescing, 0, 9, 9), shows(stopped, 0, 12, 12)}, 4},
			{"requests in flight", []func(http.ResponseWriter){shows(stopped, 2, 9, 9), shows(stopped, 1, 9, 9), shows(stopped, 0, 9, 9)}, 4},
			{"a node is behind", []func(http.ResponseWriter){shows(stopped, 0, 9, 9, 8), shows(stopped, 0, 20, 20, 9), shows(stopped, 0, 20, 20, 20)}, 3},
			{"one more comes in between", []func(http.ResponseWriter){shows(stopped, 0, 9, 9), shows(stopped, 1, 9, 9), shows(stopped, 0, 9, 9)}, 4},
			{"a change of the leader", []func(http.ResponseWriter){shows(stopped, 0, 9, 9), refuses(503, wire.CodeNoQuorum), withoutQuorum, withoutQuorum, shows(stopped, 0, 9, 9)}, 6},
			{"begun again meanwhile", []func(http.ResponseWriter){shows(stopped, 0, 9, 9), shows(quiescing, 0, 15, 9), shows(stopped, 0, 19, 15), shows(stopped, 0, 19, 19)}, 5},
		} {
			t.Run(tc.name+" "+subject.Kind(), func(t *testing.T) {
				w, looks, err := waitFor(t, subject, time.Hour, tc.statuses...)
				if err != nil || len(w.Left) != 0 || looks != tc.looks {
					t.Errorf("%d looks, want %d; %+v, %v", looks, tc.looks, w, err)
				}
			})
		}
	}
}

// TestWaitsThatEnd: what waiting does not mend ends it, a silent node only delays it.
func TestWaitsThatEnd(t *testing.T) {
	i := wire.Subject{Cluster: "c", Instance: "i"}
	if _, _, err := waitFor(t, i, time.Hour, shows(wire.AdminQuiescing, 0, 9, 9), shows(wire.AdminEnabled, 0, 10, 10)); !errors.Is(err, client.ErrEnabled) {
		t.Errorf("enabled: %v", err)
	}
	var p *client.Problem
	if _, _, err := waitFor(t, i, time.Hour, refuses(401, wire.CodeUnauthorized)); !errors.As(err, &p) || p.Code != wire.CodeUnauthorized {
		t.Errorf("a bad token: %v", err)
	}
	w, _, err := waitFor(t, i, 20*time.Millisecond, shows(wire.AdminStopped, 0, 9, 9, 0))
	if err != nil || len(w.Silent) != 1 || w.Silent[0] != "b" {
		t.Errorf("a dead node: %+v %v", w, err)
	}
	s := httptest.NewServer(&script{statuses: []func(http.ResponseWriter){shows(wire.AdminQuiescing, 4, 9, 9)}})
	defer s.Close()
	c := connect(t, client.Options{URLs: []string{s.URL}})
	over := errors.New("over")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	looks := 0
	w, err = c.WaitStopped(ctx, []wire.Subject{i}, client.WaitOptions{Every: time.Millisecond, Progress: func(client.Waited) {
		if looks++; looks == 3 {
			cancel(over)
		}
	}})
	if !errors.Is(err, over) || len(w.Left) != 1 || looks != 3 {
		t.Fatalf("%+v %v after %d looks", w, err, looks)
	}
	if text := w.Left[0].String(); text != "instance i of cluster c is quiescing, 1m0s left, 3 sessions, 4 in flight" {
		t.Error(text)
	}
}
