package lb

import (
	"context"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// fakeAgent says a line to everybody who connects; "hang" means that it says nothing.
type fakeAgent struct {
	port int
	line atomic.Pointer[string]
}

func (a *fakeAgent) say(line string) { a.line.Store(&line) }

// patience is how long a check of the agent may take: only one that hangs is to be given up.
func (a *fakeAgent) patience() config.Duration {
	if *a.line.Load() == "hang" {
		return config.Duration(200 * time.Millisecond)
	}
	return config.Duration(10 * time.Second)
}

func newAgent(t testing.TB, line string) *fakeAgent {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &fakeAgent{port: ln.Addr().(*net.TCPAddr).Port}
	a.say(line)
	var conns sync.WaitGroup
	t.Cleanup(func() {
		ln.Close()
		conns.Wait()
	})
	conns.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer c.Close()
				line := *a.line.Load()
				if line == "hang" {
					io.Copy(io.Discard, c)
					return
				}
				for _, piece := range strings.SplitAfter(line, "|") { // in pieces, as TCP may bring them
					io.WriteString(c, strings.TrimSuffix(piece, "|"))
				}
			})
		}
	})
	return a
}

func TestAgentWords(t *testing.T) { // SUN-10: HAProxy's agent-check
	type state struct {
		share float64
		drain bool
		down  string
	}
	for _, c := range []struct {
		lines string // one after the other
		want  state
	}{
		{"up", state{1, false, ""}},
		{"UP 75%", state{0.75, false, ""}},
		{"up,50%\tready", state{0.5, false, ""}},
		{"75%", state{0.75, false, ""}},
		{"0%", state{0, false, ""}},
		{"200%", state{1, false, ""}}, // more than its weight is not had
		{"50%;up", state{0.5, false, ""}},
		{"50%;100%", state{1, false, ""}},
		{"drain", state{1, true, ""}},
		{"drain;up", state{1, true, ""}}, // until ready
		{"drain;ready", state{1, false, ""}},
		{"maint", state{1, false, "maint"}},
		{"maint;up", state{1, false, "maint"}},
		{"maint;ready", state{1, false, ""}},
		{"maint;drain", state{1, true, ""}},
		{"down", state{1, false, "down"}},
		{"down;75%", state{0.75, false, "down"}},
		{"down;ready", state{1, false, "down"}},
		{"down;up", state{1, false, ""}},
		{"failed#disk full", state{1, false, "failed: disk full"}},
		{"stopped #\x1b[31mred\x00", state{1, false, "stopped: ?[31mred?"}},
		{"up 80% maxconn:30 # all well", state{0.8, false, ""}},
	} {
		var says agentSays
		for line := range strings.SplitSeq(c.lines, ";") {
			next, err := says.next(line)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			says = next
		}
		got := state{share: 1 - says.less, drain: says.drain}
		if err := says.failure(); err != nil {
			got.down = err.Error()
		}
		if diff := got.share - c.want.share; diff > 1e-9 || diff < -1e-9 || got.drain != c.want.drain || got.down != c.want.down {
			t.Errorf("%q: %+v, want %+v", c.lines, got, c.want)
		}
	}
	before := agentSays{less: 0.5, drain: true}
	for _, line := range []string{"", "   ", "#only a reason", "hello", "75", "%", "-1%", "257%", "1e3%", "7 5 %", "up nonsense", "ready 70% nonsense", "maint 300%", "maxconn:", "maxconn:x",
		"99999999999999999999%", "HTTP/1.1 200 OK", "\x00\x01"} {
		if got, err := before.next(line); err == nil || got != before {
			t.Errorf("%q is taken: %+v %v", line, got, err)
		}
	}
}

func TestAgentLine(t *testing.T) {
	a := newAgent(t, "up\n")
	srv := newApp(t, "i1", nil)
	e, err := newEndpoint(srv.URL, false)
	if err != nil {
		t.Fatal(err)
	}
	check := func(kind string, port int) string {
		h := newHealthSettings(config.Health{Type: kind, AgentPort: port, Timeout: a.patience()})
		ctx, cancel := context.WithTimeout(t.Context(), h.timeout)
		defer cancel()
		return explain(&h, e.checkListener(ctx, &h))
	}
	for _, c := range []struct{ line, want string }{
		{"up\n", ""}, {"up\r\ndown\n", ""}, {"u|p|\n", ""}, {"up", ""}, {"down\n", "down"}, {"up\n", ""}, {"maint # upgrade\n", "maint: upgrade"},
		{"ready\n", ""}, {"", "without a word"}, {"\n", "no word"}, {"hang", "no answer within 200ms"}, {"hello\n", `"hello" is none of up`},
		{strings.Repeat("x", 300) + "\n", "longer than 256 bytes"}, {strings.Repeat("up ", 5000), "longer than 256 bytes"},
		{strings.Repeat(" ", 254) + "up", ""},
	} {
		a.say(c.line)
		got := check("agent", a.port)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%.20q: %q, want %q", c.line, got, c.want)
		}
	}
	if got := check("agent", 0); !strings.Contains(got, "agentPort") {
		t.Errorf("without a port: %q", got)
	}
	closed, _ := strconv.Atoi(freePort(t))
	if got := check("agent", closed); !strings.Contains(got, "refused") {
		t.Errorf("no agent: %q", got)
	}
	a.say("up\n")
	srv.Close()
	if got := check("agent", a.port); got != "" {
		t.Errorf("type agent looks at the listener, too: %q", got)
	}
	e.health.refused("a request was refused", time.Now())
	if got := check("agent", a.port); got == "" {
		t.Error("a listener that refuses comes back by the agent's word alone")
	}
	if got := check("tcp", a.port); got == "" {
		t.Error("the check beside the agent is not made")
	}
}

func TestAgentBesideCheckEitherTakesOut(t *testing.T) {
	a := newAgent(t, "up 40%\n")
	app := newApp(t, "i1", nil)
	cc := conf(of(app)...)
	cc.Clusters[0].Health.AgentPort, cc.Clusters[0].Health.Interval = a.port, config.Duration(5*time.Millisecond)
	r := newRig(t, cc)
	s := r.b.routing.Load().clusters["c1"].instances[0].state
	r.wait("share", func() bool { return s.agentShare() == 0.4 && !s.agentDrains() })
	a.say("drain\n")
	r.wait("drain", func() bool { return s.agentDrains() })
	a.say("ready 0%\n")
	r.wait("no share", func() bool { return s.agentDrains() && s.agentShare() == 0 })
	a.say("down #by hand\n")
	r.wait("down by the agent", func() bool { return r.status("c1", "i1").Health == "down" })
	if reason := r.status("c1", "i1").Reason; !strings.Contains(reason, "agent: down: by hand") {
		t.Error(reason)
	}
	a.say("up 100%\n")
	r.wait("up", func() bool { return r.status("c1", "i1").Health == "up" && s.agentShare() == 1 && !s.agentDrains() })
	app.Close()
	r.wait("down by the check", func() bool { return r.status("c1", "i1").Health == "down" })
	if reason := r.status("c1", "i1").Reason; strings.Contains(reason, "agent") {
		t.Error(reason)
	}
}

// TestAgentThatFallsSilentTakesNothingOut: beside a check it is the check that says whether the instance serves; what the agent said last holds.
func TestAgentThatFallsSilentTakesNothingOut(t *testing.T) { // SUN-10: HAProxy's agent-check
	for _, kind := range []string{"http", "tcp", "none"} {
		a := newAgent(t, "up 40%\n")
		e, err := newEndpoint(newApp(t, "i1", nil).URL, false)
		if err != nil {
			t.Fatal(err)
		}
		s := (&instanceState{})
		s.endpoints.Store(&[]*endpoint{e})
		check := func(port int) string {
			h := newHealthSettings(config.Health{Type: kind, AgentPort: port, Timeout: a.patience()})
			ctx, cancel := context.WithTimeout(t.Context(), h.timeout)
			defer cancel()
			return explain(&h, e.checkListener(ctx, &h))
		}
		closed, _ := strconv.Atoi(freePort(t))
		for _, c := range []struct {
			line       string
			port       int
			want, word string
		}{
			{"up 40%\n", a.port, "", "40%"}, {"hello\n", a.port, "", "40%, no word that is known"}, {"", a.port, "", "40%, no answer"}, {"", closed, "", "40%, no answer"},
			{"down\n", a.port, "agent: down", "40%"}, {"hello\n", a.port, "agent: down", "40%, no word that is known"}, {"", closed, "agent: down", "40%, no answer"},
			{"up drain 100%\n", a.port, "", "drain"}, {"hang", a.port, "", "drain, no answer"}, {"ready\n", a.port, "", ""},
		} {
			a.say(c.line)
			if got := check(c.port); got != c.want {
				t.Errorf("%s, %q at %d: %q, want %q", kind, c.line, c.port, got, c.want)
			}
			if word, _ := s.agentWord(); word != c.word {
				t.Errorf("%s, %q at %d: %q is shown, want %q", kind, c.line, c.port, word, c.word)
			}
		}
	}
}

// TestAgentIsSeen: an instance that is available and gets nothing, or less, by its agent's word says so.
func TestAgentIsSeen(t *testing.T) { // SUN-10
	a := newAgent(t, "up\n")
	cc := conf(of(newApp(t, "i1", nil))...)
	cc.Clusters[0].Health.AgentPort, cc.Clusters[0].Health.Interval = a.port, config.Duration(5*time.Millisecond)
	r := newRig(t, cc)
	for _, c := range []struct {
		line, word string
		withheld   float64
	}{
		{"drain", "drain", 1}, {"ready 50%", "50%", 0.5}, {"drain", "drain, 50%", 1}, {"ready 0% # asleep", "0%", 1}, {"drain 29%", "drain, 29%", 1}, {"ready", "29%", 0.71},
		{"100%", "", 0}, {"up 256%", "", 0}, {"1%", "1%", 0.99},
	} {
		a.say(c.line + "\n")
		var s InstanceStatus
		r.wait(c.line, func() bool { s = r.status("c1", "i1"); return s.Agent == c.word })
		if diff := s.Withheld - c.withheld; s.Health != "up" || diff > 1e-9 || diff < -1e-9 {
			t.Errorf("%q: %+v, want %v withheld", c.line, s, c.withheld)
		}
	}
	without := clone(cc)
	without.Clusters[0].Health.AgentPort = 0
	r.apply(without)
	if s := r.status("c1", "i1"); s.Agent != "" || s.Withheld != 0 {
		t.Errorf("an agent that is gone still counts: %+v", s)
	}
}

// TestAgentAnswersWhenItIsAskedNoMore: what it says to a check that was under way when the configuration took it out counts for nothing. Without checks nobody would ever
// take it back.
func TestAgentAnswersWhenItIsAskedNoMore(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	e, err := newEndpoint("http://"+ln.Addr().String(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	asked := make(chan error, 1)
	go func() {
		asked <- e.askAgent(t.Context(), &healthSettings{kind: "none", agentPort: ln.Addr().(*net.TCPAddr).Port})
	}()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	e.agent.wanted(false)
	e.forgetAgent()
	io.WriteString(conn, "drain 1%\n")
	<-asked
	if says, mute := e.agent.look(); says != (agentSays{}) || mute != "" {
		t.Errorf("%+v %s", says, mute)
	}
	e.agent.wanted(true)
	e.agent.set(agentSays{drain: true})
	if !e.agent.get().drain {
		t.Error("an agent that is asked again is not heard")
	}
}

// TestAgentsOfSeveralListeners: one that drains drains the instance, and the smallest percentage counts.
func TestAgentsOfSeveralListeners(t *testing.T) {
	s := weightedCluster("round-robin", 1).instances[0].state
	e := (*s.endpoints.Load())[0]
	s.endpoints.Store(&[]*endpoint{e, {}, {}})
	list := *s.endpoints.Load()
	for _, c := range []struct {
		says [3]agentSays
		word string
	}{
		{[3]agentSays{}, ""}, {[3]agentSays{1: {less: 0.5}, 2: {less: 0.25}}, "50%"}, {[3]agentSays{0: {less: 0.75}, 2: {drain: true}}, "drain, 25%"},
		{[3]agentSays{2: {drain: true, less: 1}}, "drain, 0%"}, {[3]agentSays{1: {maint: "maint", down: "down"}}, ""},
	} {
		for i := range list {
			list[i].agent.set(c.says[i])
		}
		if word, withheld := s.agentWord(); word != c.word || (withheld == 1) != s.agentDrains() || withheld < 1 && withheld != 1-s.agentShare() {
			t.Errorf("%+v: %q, %v withheld", c.says, word, withheld)
		}
	}
}

func TestAgentTakenAwayGivesTheWholeShare(t *testing.T) {
	for _, kind := range []string{"none", "http"} {
		a := newAgent(t, "drain 10%\n")
		cc := conf(of(newApp(t, "i1", nil))...)
		cc.Clusters[0].Health.AgentPort, cc.Clusters[0].Health.Type = a.port, kind
		r := newRig(t, cc)
		s := r.b.routing.Load().clusters["c1"].instances[0].state
		r.wait("share", func() bool { return s.agentShare() < 0.11 && s.agentDrains() })
		without := clone(cc)
		without.Clusters[0].Health.AgentPort = 0
		r.apply(without)
		if s.agentShare() != 1 || s.agentDrains() {
			t.Errorf("%s: an agent that is gone still counts", kind)
		}
	}
}

func FuzzAgentLine(f *testing.F) {
	for _, line := range []string{"up 75% # fine", "drain", "maint ready", "\x00%", "256%,maxconn:3"} {
		f.Add(line, "ready up")
	}
	f.Fuzz(func(t *testing.T, line, second string) {
		var says agentSays
		for _, l := range []string{line, second} {
			next, err := says.next(l)
			if err != nil && next != says {
				t.Fatal("a line that is not taken has an effect")
			}
			says = next
			if says.less < 0 || says.less > 1 || len(says.reason) > maxAgentReason {
				t.Fatalf("%q: %+v", l, says)
			}
		}
	})
}

// TestAgentWeighsUnassignedRequests: half of its weight is half of its share, drain is none, and its sessions stay in any case.
func TestAgentWeighsUnassignedRequests(t *testing.T) { // TC-12
	c := weightedCluster("weighted-round-robin", 1, 1)
	e := (*c.instances[0].state.endpoints.Load())[0]
	e.agent.set(agentSays{less: 0.5})
	c.state.refresh()
	wantShares(t, c.shares(30_000), 1./3, 2./3)
	e.agent.set(agentSays{drain: true})
	c.state.refresh()
	wantShares(t, c.shares(1000), 0, 1)
	if !c.instances[0].takesAssigned() {
		t.Error("an instance that drains does not keep its sessions")
	}
}
