package server

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/workflow"
	"github.com/holdfast-lb/holdfast/lb"
)

func call(hook string) *workflow.Call {
	return &workflow.Call{Workflow: "w1", Kind: "cycle", Step: "stop", Target: fsm.Subject{Cluster: "c1", Instance: "i1"}, Hook: hook, Key: "w1.1.stop", Attempt: 2, Timeout: time.Minute}
}

func caller(dir string, log *slog.Logger) *hookCaller {
	return newHookCaller(programs{dir: func() string { return dir }, log: log})
}

// TestWebhook: what is sent, and what each status means. SUN-70
func TestWebhook(t *testing.T) {
	for status, failure := range map[int]string{200: "", 204: "", 409: "", 302: "redirects are not followed", 404: "answered 404", 500: "answered 500"} {
		asked := 0
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked++
			var body map[string]any
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
				t.Error(err)
			}
			if r.Method != "POST" || r.Header.Get("Idempotency-Key") != "w1.1.stop" || r.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s %v", r.Method, r.Header)
			}
			if body["workflow"] != "w1" || body["step"] != "stop" || body["kind"] != "cycle" || body["cluster"] != "c1" || body["instance"] != "i1" || body["attempt"] != 2.0 {
				t.Errorf("body %v", body)
			}
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
		}))
		o := caller("", slog.New(slog.DiscardHandler)).Call(t.Context(), call(srv.URL+"/?token=secret"))
		srv.Close()
		if (o.Failure == "") != (failure == "") || !strings.Contains(o.Failure, failure) || asked != 1 {
			t.Errorf("%d: %+v after %d requests", status, o, asked)
		}
	}
	o := caller("", slog.New(slog.DiscardHandler)).Call(t.Context(), call("http://127.0.0.1:1/?token=secret"))
	if o.Failure == "" || strings.Contains(o.Failure, "secret") {
		t.Errorf("nobody there: %+v", o)
	}
}

func program(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestProgram: arguments, environment, output, exit status. SUN-70
func TestProgram(t *testing.T) {
	t.Setenv("HOLDFAST_JOIN_TOKEN", "hfi1.secret")
	dir := t.TempDir()
	program(t, dir, "ok", `echo "args $1 $2 $3"; echo "key $HOLDFAST_WORKFLOW_KEY attempt $HOLDFAST_WORKFLOW_ATTEMPT of $HOLDFAST_WORKFLOW" >&2; env`)
	program(t, dir, "fails", "exit 3")
	program(t, dir, "floods", "yes 0123456789 | head -c 1000000")
	var log strings.Builder
	h := caller(dir, slog.New(slog.NewTextHandler(&log, nil)))
	if o := h.Call(t.Context(), call("exec:ok")); o.Failure != "" || o.Unknown {
		t.Errorf("%+v", o)
	}
	for _, want := range []string{"args stop c1 i1", "key w1.1.stop attempt 2 of w1", "HOLDFAST_WORKFLOW_INSTANCE=i1"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %q:\n%s", want, log.String())
		}
	}
	if strings.Contains(log.String(), "hfi1.secret") {
		t.Error("the program got the node's own variables")
	}
	if o := h.Call(t.Context(), call("exec:fails")); !o.Final || !strings.Contains(o.Failure, "exit status 3") {
		t.Errorf("%+v", o)
	}
	log.Reset()
	if o := h.Call(t.Context(), call("exec:floods")); o.Failure != "" || log.Len() > 40*maxHookOutput {
		t.Errorf("%+v, %d bytes in the log", o, log.Len())
	}
}

// TestProgramThatLeavesAServerBehind: a start hook puts an application server into the background, which keeps the program's output open for good.
// The program has done its work when it has ended well; one that has failed has failed.
func TestProgramThatLeavesAServerBehind(t *testing.T) {
	dir := t.TempDir()
	program(t, dir, "starts", "echo started; sleep 600 & echo $! > pid; exit 0")
	program(t, dir, "fails", "sleep 600 & echo $! > pid; exit 4")
	var log strings.Builder
	h := caller(dir, slog.New(slog.NewTextHandler(&log, nil)))
	h.programs.outputDelay = 50 * time.Millisecond
	for name, failure := range map[string]string{"starts": "", "fails": "exit status 4"} {
		o := h.Call(t.Context(), call("exec:"+name))
		if (o.Failure == "") != (failure == "") || !strings.Contains(o.Failure, failure) || o.Unknown {
			t.Errorf("%s: %+v, want failure %q", name, o, failure)
		}
		pid, err := os.ReadFile(filepath.Join(dir, "pid"))
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(pid)))
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
			t.Errorf("%s: what it left behind does not run any more: %v", name, err)
		}
	}
	if !strings.Contains(log.String(), "line=started") || !strings.Contains(log.String(), "still has its output open") {
		t.Errorf("the log:\n%s", log.String())
	}
}

// TestProgramsThatAreNone: nothing outside the directory is ever run.
func TestProgramsThatAreNone(t *testing.T) {
	dir := t.TempDir()
	program(t, dir, "outside", "exit 0")
	inside := filepath.Join(dir, "hooks")
	if err := os.MkdirAll(filepath.Join(inside, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(inside, "text"), []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"missing", "folder", "text", "../outside", "/bin/true", "..", ".", "", "folder/../../outside"} {
		if o := caller(inside, slog.New(slog.DiscardHandler)).Call(t.Context(), call("exec:"+name)); o.Failure == "" || !o.Final {
			t.Errorf("%q: %+v", name, o)
		}
	}
	if o := caller("", slog.New(slog.DiscardHandler)).Call(t.Context(), call("exec:outside")); !strings.Contains(o.Failure, "--hook-dir") {
		t.Errorf("%+v", o)
	}
}

// TestProgramIsEndedWithItsTerm: with everything that it started.
func TestProgramIsEndedWithItsTerm(t *testing.T) {
	dir := t.TempDir()
	program(t, dir, "long", "echo begun > begun; sleep 600 & wait")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan workflow.Outcome, 1)
	go func() { done <- caller(dir, slog.New(slog.DiscardHandler)).Call(ctx, call("exec:long")) }()
	eventually(t, "the program runs", func() error {
		_, err := os.Stat(filepath.Join(dir, "begun"))
		return err
	})
	cancel()
	if o := <-done; !o.Unknown {
		t.Errorf("%+v, want an unknown outcome: the next leader calls it again", o)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if o := caller(dir, slog.New(slog.DiscardHandler)).Call(ctx, call("exec:long")); !o.Final || !strings.Contains(o.Failure, "took longer") {
		t.Errorf("%+v", o)
	}
}

// TestReportsOfNodes: what waits for a connection counts as in flight, and an instance under suspicion is not healthy.
func TestReportsOfNodes(t *testing.T) {
	n := workflowReport(&memberReport{node: "n1", reachable: true, description: description{InForce: 7,
		Instances: []lb.InstanceStatus{{Cluster: "c1", Instance: "i1", Health: "partial", InFlight: 2, Waiting: 3}, {Cluster: "c1", Instance: "i2", Health: "down"}, {Cluster: "c1", Instance: "i3", Health: "up", Suspect: true}},
		Modules:   []lb.ModuleStatus{{Cluster: "c1", Host: "h", ContextRoot: "/a", InFlight: 4}},
	}})
	want := workflow.Node{Name: "n1", Reachable: true, InForce: 7,
		Instances: []workflow.Instance{{Cluster: "c1", Name: "i1", Healthy: true, InFlight: 5}, {Cluster: "c1", Name: "i2"}, {Cluster: "c1", Name: "i3"}},
		Modules:   []workflow.Module{{Cluster: "c1", Host: "h", ContextRoot: "/a", InFlight: 4}}}
	if !reflect.DeepEqual(n, want) {
		t.Errorf("%+v\nwant %+v", n, want)
	}
}
