package check

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/chaos/record"
)

// api is the admin API of a node, as far as it is asked.
func api(t *testing.T, answers map[string]any) Member {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := answers[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		if text, ok := answer.(string); ok {
			_, _ = w.Write([]byte(text))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(server.Close)
	c, err := client.New(client.Options{URLs: []string{server.URL}, AttemptTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return Member{Name: "n1", Client: c}
}

const metrics = `# HELP go_goroutines Number of goroutines that currently exist.
go_goroutines 41
go_goroutines_other 7
process_open_fds 17
process_start_time_seconds 1.7e+09
holdfast_pending_assignments{cluster="a} 9"} 2
holdfast_pending_assignments{cluster="b"} 3 1700000000
holdfast_requests_in_flight{cluster="a",instance="i"} 1
holdfast_requests_in_flight{cluster="b",instance="i"} 2
`

func TestNodesAreAsked(t *testing.T) {
	well := api(t, map[string]any{
		"/v1/status": map[string]any{
			"leader": "n1", "quorum": true, "term": 4, "applied": 12, "revision": map[string]any{"revision": 2},
			"nodes": []any{
				map[string]any{"name": "n2", "ready": false},
				map[string]any{"name": "n1", "self": true, "ready": true, "applied": 12, "hash": "ab", "hashIndex": 12, "vip": map[string]any{"addresses": []string{"10.0.0.1/24"}, "holds": true}},
			},
		},
		"/metrics": metrics, "/v1/config/history": map[string]any{"revisions": []any{map[string]any{"revision": 2}, map[string]any{"revision": 1}}},
		"/v1/sessions": map[string]any{"sessions": []any{map[string]any{"key": "k", "cluster": "c", "instance": "i"}}},
		"/v1/events":   map[string]any{"events": []any{map[string]any{"seq": 7, "kind": "config", "text": "t"}}},
	})
	gone := api(t, nil)
	gone.Name = "n2"
	nodes := Nodes{gone, well}
	views := nodes.Look(t.Context())
	want := View{
		Node: "n1", Ready: true, Leader: "n1", Quorum: true, HasAddress: true, Holds: true, Term: 4, Applied: 12, Revision: 2, Hash: "ab", HashIndex: 12, Pending: 5,
	}
	if views[1] != want || views[0].Error == "" || views[0].Pending != -1 {
		t.Errorf("%+v", views)
	}
	if usage, err := nodes.Usage(t.Context()); err == nil || !strings.Contains(err.Error(), "n2") || usage[1] != (Usage{"n1", 41, 17, 3, 1.7e9}) {
		t.Errorf("%+v, %v", usage, err)
	}
	if list, err := nodes.Revisions(t.Context()); err != nil || !reflect.DeepEqual(list, []uint64{2, 1}) {
		t.Errorf("%v, %v", list, err)
	}
	if tables, err := nodes.Tables(t.Context()); err == nil || tables["n1"]["k"].Instance != "i" {
		t.Errorf("%v, %v", tables, err)
	}
	if events, err := nodes.Happened(t.Context(), "n1", 3); err != nil || len(events) != 1 || events[0].Seq != 7 {
		t.Errorf("%v, %v", events, err)
	}
	if _, err := (Nodes{gone}).Revisions(t.Context()); err == nil {
		t.Error("revisions of nobody")
	}
}

// TestWrongState: a node that says that its state is not the group's is heard; one that is out of service for another reason is not blamed.
func TestWrongState(t *testing.T) {
	for cause, want := range map[string]string{"diverged": "diverged at index 9", "differs": "differs at index 9", "stuck": "", "disk-full": ""} {
		n := api(t, map[string]any{"/v1/status": map[string]any{"nodes": []any{map[string]any{"name": "n1", "self": true, "quarantine": map[string]any{"cause": cause, "index": 9}}}}})
		if v := (Nodes{n}).Look(t.Context())[0]; v.Error != "" || v.Wrong != want {
			t.Errorf("%s: %+v", cause, v)
		}
	}
	w := NewWatch()
	for _, wrong := range []string{"", "diverged at index 9", "diverged at index 9", "", "diverged at index 12"} {
		w.See(time.Now(), []View{{Node: "n1", Wrong: wrong}})
	}
	if v, _ := w.state(func(w *Watch) *verdict { return &w.split }); v.count != 2 {
		t.Errorf("%+v", v)
	}
}

func TestSum(t *testing.T) {
	for name, want := range map[string]float64{"go_goroutines": 41, "holdfast_pending_assignments": 5, "go_": -1, "process_open_fds": 17, "": -1} {
		got, found := sum([]byte(metrics), name)
		if !found {
			got = -1
		}
		if got != want {
			t.Errorf("%q is %v, want %v", name, got, want)
		}
	}
	for _, text := range []string{"m", "m ", "m{", "m{}", "m x", "m{a=\"}", "\x00m 1"} {
		if _, found := sum([]byte(text), "m"); found {
			t.Errorf("%q has a value", text)
		}
	}
}

// TestLeftBehind: a process that was forgotten is found by what it has of the folder.
func TestLeftBehind(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "stage-17")
	if left := LeftBehind(folder); left != nil {
		t.Fatalf("%q before anything was started", left)
	}
	path, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	start := func(environment ...string) (end func()) {
		t.Helper()
		p := exec.Command(path, "60")
		p.Args[0] = folder + "/holdfast"
		p.Env = append(os.Environ(), environment...)
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		end = sync.OnceFunc(func() { _ = p.Process.Kill(); _ = p.Wait() })
		t.Cleanup(end)
		return end
	}
	start() // a bystander, such as a pager that shows a log
	if left := LeftBehind(folder); left != nil {
		t.Errorf("%q while a stranger looks at it", left)
	}
	end := start(proc.Mark())
	if left := LeftBehind(folder); len(left) != 1 || !strings.Contains(left[0], "command line") { // Start has seen the exec
		t.Errorf("%q while a process runs", left)
	}
	end()
	if left := LeftBehind(folder); left != nil {
		t.Errorf("%q after everything was ended", left)
	}
	if left := LeftBehind(filepath.Dir(folder)); len(left) != 1 || !strings.Contains(left[0], "folder") {
		t.Errorf("%q for a folder that is there", left)
	}
}

// teller is a fake that tells events.
type teller struct {
	mu sync.Mutex
	fake
	events []client.Event
}

func (f *teller) Look(ctx context.Context) []View {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fake.Look(ctx)
}

func (f *teller) Happened(_ context.Context, _ string, after uint64) (list []client.Event, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.events {
		if e.Seq > after {
			list = append(list, e)
		}
	}
	return list, nil
}

// TestObserve: leader, holder and the group's events come into the record, those from before the beginning do not; quiesces are followed.
func TestObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		g := &teller{fake: *w.group, events: []client.Event{{Seq: 1, Kind: "config", Text: "before"}}}
		w.Group, w.Quiesces = g, NewQuiesces()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { w.Observe(ctx, 100*time.Millisecond); close(done) }()
		time.Sleep(250 * time.Millisecond)
		synctest.Wait()
		g.mu.Lock()
		g.events = append(g.events,
			client.Event{Seq: 2, Kind: "quiesce-started", Cluster: "c", Instance: "i", Text: "begins"},
			client.Event{Seq: 3, Kind: "quiesced", Cluster: "c", Instance: "i", Text: "ends"},
			client.Event{Seq: 4, Kind: "holder", Text: "seen otherwise"},
			client.Event{Seq: 5, Kind: "quiesced", Cluster: "c", Instance: "i", Text: "ends again"})
		g.views = []View{{Node: "n1", Error: "dead"}, {Node: "n2", Leader: "n2", Quorum: true, Term: 4, Holds: true}}
		g.mu.Unlock()
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		g.mu.Lock()
		g.views = nil
		g.mu.Unlock()
		time.Sleep(100 * time.Millisecond)
		cancel()
		<-done
		var got []string
		for _, e := range w.Recorder.Finish(nil).Events {
			got = append(got, string(e.Kind)+" "+e.Subject+": "+e.Text)
		}
		want := []string{
			"leader n1: n1 leads", "holder n1: n1 holds the virtual address", "leader n2: n2 leads", "holder n2: n2 holds the virtual address",
			"quiesce c/i: begins", "quiesce c/i: ends", "quiesce c/i: ends again", "leader : nobody leads", "holder : nobody holds the virtual address",
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if r := w.run(t, "quiesce-rules"); r.Count != 1 {
			t.Errorf("%+v", r)
		}
		if w.Recorder.Finish(nil).Verdict != record.Errored {
			t.Error("nobody judged")
		}
	})
}
