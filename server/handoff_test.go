package server

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/lb"
	"github.com/holdfast-lb/holdfast/server/handoff"
)

// TestWhichProgramsMayBeStarted: whoever may have a node upgraded must not be able to have it run anything.
func TestWhichProgramsMayBeStarted(t *testing.T) {
	dir := t.TempDir()
	make := func(path string, mode os.FileMode) string {
		if err := errors.Join(os.WriteFile(path, []byte("x"), 0o600), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	own, next := make(filepath.Join(dir, "holdfast"), 0o755), make(filepath.Join(dir, "holdfast-2"), 0o755)
	elsewhere := make(filepath.Join(t.TempDir(), "holdfast"), 0o755)
	writable := make(filepath.Join(dir, "open"), 0o775)
	c := Config{Self: handoff.Program{Path: own, Args: []string{"serve"}}}
	for path, why := range map[string]string{
		"": "", own: "", next: "", elsewhere: "not a file beside", "holdfast-2": "not a file beside", "/bin/sh": "not a file beside", dir + "/../x/holdfast-2": "not a file beside",
		dir + "/./holdfast-2": "not a file beside", dir + "/none": "no such file", writable: "can be written to by others",
	} {
		p, err := c.successor(path)
		switch {
		case why == "" && (err != nil || p.Path != path && path != "" || len(p.Args) != 1):
			t.Errorf("%q: %+v %v", path, p, err)
		case why != "" && (err == nil || !strings.Contains(err.Error(), why)):
			t.Errorf("%q: %v lacks %q", path, err, why)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := c.successor(filepath.Join(dir, "sub")); err == nil || !strings.Contains(err.Error(), "is no file") {
		t.Errorf("a directory: %v", err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := c.successor(next); err == nil || !strings.Contains(err.Error(), "can be written to by others") {
		t.Errorf("in a directory of everybody's: %v", err)
	}
}

func TestWhichProgramsFit(t *testing.T) {
	s := &Server{config: Config{Name: "n1", DataDir: "/data"}, state: fsm.New()}
	have := s.state.Schema()
	good := handoff.Hello{Version: "v2", Schema: have, Name: "n1", DataDir: "/data"}
	for what, c := range map[string]struct {
		change func(*handoff.Hello)
		why    string
	}{
		"the same":     {func(*handoff.Hello) {}, ""},
		"the next":     {func(h *handoff.Hello) { h.Schema++ }, ""},
		"two ahead":    {func(h *handoff.Hello) { h.Schema += 2 }, "a program may be one ahead"},
		"one behind":   {func(h *handoff.Hello) { h.Schema-- }, "never lowered"},
		"other name":   {func(h *handoff.Hello) { h.Name = "n2" }, `would be node "n2"`},
		"other's data": {func(h *handoff.Hello) { h.DataDir = "/other" }, "its settings are others"},
	} {
		h := good
		c.change(&h)
		if err := s.judge(h); (err == nil) != (c.why == "") || err != nil && !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v, want %q", what, err, c.why)
		}
	}
}

// TestWhatTheProcessBeforeStillDoes counts as this node's, until that has ended or says nothing any more.
func TestWhatTheProcessBeforeStillDoes(t *testing.T) {
	describe := func() *description {
		return &description{InForce: 50, Instances: []lb.InstanceStatus{{Cluster: "c", Instance: "a", InFlight: 1}, {Cluster: "c", Instance: "b"}},
			Modules: []lb.ModuleStatus{{Cluster: "c", ContextRoot: "/x", InFlight: 2}}}
	}
	var none *predecessor
	d := describe()
	if none.add(d); d.InForce != 50 || !none.over() {
		t.Errorf("without one: %+v", d)
	}
	p := &predecessor{}
	if p.add(d); d.InForce != 0 || p.over() {
		t.Errorf("before its first word this node cannot say what it obeys: %+v", d)
	}
	theirs, ours := net.Pipe()
	heard := make(chan error, 1)
	go func() { heard <- p.hear(bufio.NewReader(ours), ours.SetReadDeadline) }()
	report := `{"inForce":40,"instances":[{"cluster":"c","instance":"b","inFlight":3},{"cluster":"c","instance":"gone","inFlight":1}],"modules":[{"cluster":"c","contextRoot":"/x","inFlight":5}]}`
	if err := handoff.WriteReport(theirs, []byte(report)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the report counts", func() error {
		d = describe()
		if p.add(d); d.InForce == 0 {
			return errors.New("nothing is known")
		}
		return nil
	})
	if d.InForce != 40 || d.Instances[0].InFlight != 1 || d.Instances[1].InFlight != 3 || d.Modules[0].InFlight != 7 {
		t.Errorf("%+v", d)
	}
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-heard; err == nil {
		t.Error("no error")
	}
	d = describe()
	if p.add(d); d.InForce != 50 || d.Instances[1].InFlight != 0 || !p.over() {
		t.Errorf("after its end: %+v", d)
	}
	broken := &predecessor{}
	theirs, ours = net.Pipe()
	defer theirs.Close()
	go func() { heard <- broken.hear(bufio.NewReader(ours), ours.SetReadDeadline) }()
	if err := handoff.WriteReport(theirs, []byte("{")); err != nil {
		t.Fatal(err)
	}
	if err := <-heard; !errors.Is(err, handoff.ErrStream) || !broken.over() {
		t.Errorf("nonsense: %v", err)
	}
}

// TestUpgradesThatAreRefused before anything is started.
func TestUpgradesThatAreRefused(t *testing.T) {
	g := startGroup(t, 1)
	s := g.servers[0]
	refused := func(why string, u Upgrade) {
		t.Helper()
		before := len(g.logs[0].String())
		var e *UpgradeError
		if got, err := s.UpgradeBinary(context.Background(), u); !errors.As(err, &e) || !strings.Contains(e.Words, why) {
			t.Errorf("%+v: %+v %v, want %q", u, got, err, why)
		}
		if said := g.logs[0].String()[before:]; !strings.Contains(said, why) {
			t.Errorf("%+v: the log does not say why: %s", u, said)
		}
	}
	refused("does not know from where it was started", Upgrade{})
	s.config.Self = handoff.Program{Path: "/nonexistent/holdfast"}
	for _, d := range []time.Duration{-1, time.Millisecond, time.Hour} {
		refused("is no time", Upgrade{ReadyWithin: d})
	}
	refused("not a file beside", Upgrade{Program: "/bin/sh"})
	refused("no such file", Upgrade{})
	s.upgrading.Lock()
	refused("under way already", Upgrade{})
	s.upgrading.Unlock()
	s.before = &predecessor{}
	refused("has clients still", Upgrade{})
	s.before = nil
	if err := s.ready(); err != nil {
		t.Errorf("the node after all that: %v", err)
	}
	s.leaving.Store(true)
	refused("is leaving", Upgrade{})
	s.leaving.Store(false)
}
