package raftnode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// logBuffer is a log that a test looks at.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

// watchLog opens the node and keeps what it logs. What it says about its program may be changed until it runs.
func (m *member) watchLog() *logBuffer {
	m.t.Helper()
	m.mustOpen()
	l := &logBuffer{}
	m.node.log = slog.New(slog.NewTextHandler(l, nil))
	return l
}

// alone gives a group of n1 alone, of version 1.2, and its log.
func alone(t *testing.T) (*member, *logBuffer) {
	m := newMember(t, "n1", Options{Bootstrap: true})
	log := m.watchLog()
	m.node.says.Version = "1.2"
	m.run()
	group{m}.ready()
	return m, log
}

func (m *member) waitsBecause(texts ...string) {
	m.t.Helper()
	within(m.t, 20*time.Second, m.opt.Name+" does not say why it is kept out", func() bool {
		err := m.node.Ready()
		for _, text := range texts {
			if err == nil || !strings.Contains(err.Error(), text) {
				return false
			}
		}
		return true
	})
}

// ourSchema, laterSchema and farSchema are what the messages call this program's schema, that of the next one, and the first one that is not let in.
var ourSchema, laterSchema, farSchema = fmt.Sprintf("schema %d", fsm.Schema), fmt.Sprintf("schema %d", fsm.Schema+1), fmt.Sprintf("schema %d", fsm.Schema+2)

// TestOtherSchemaIsNotLetInByToken: UCD-01. The refusal names both versions, is in both logs, and uses up no token; with the right program the node comes in.
func TestOtherSchemaIsNotLetInByToken(t *testing.T) {
	m1, log1 := alone(t)
	token := group{m1}.joinToken(time.Hour)
	for name, says := range map[string]release{"newer": {"1.4", fsm.Schema + 2}, "older, says nothing": {}} {
		m := newMember(t, "n2", Options{JoinToken: token, Join: []string{m1.node.Addr()}})
		log := m.watchLog()
		m.node.says = says
		m.run()
		m.waitsBecause("node n2 runs version "+says.String(), "node n1 version 1.2 with "+ourSchema+" of the state", "install the version of node n1 on node n2")
		within(t, 20*time.Second, name+": n2's log does not say why", func() bool { return log.count("node n1 version 1.2 with "+ourSchema) > 0 })
		if log1.count("node refused") == 0 || log1.count("node n2 runs version "+says.String()) != 1 {
			t.Errorf("%s: the leader's log does not say it once: %s", name, log1.b.String())
		}
		m.crash()
	}
	for _, one := range m1.state.Tokens() {
		if one.UsedBy != nil {
			t.Errorf("a token was used up: %+v", one)
		}
	}
	if n := len(m1.node.membership().Servers); n != 1 {
		t.Errorf("%d members, want n2 kept out", n)
	}
	m := newMember(t, "n2", Options{JoinToken: token, Join: []string{m1.node.Addr()}})
	m.mustOpen()
	m.run()
	group{m1, m}.ready()
}

// TestOtherSchemaIsNotLetInByInitString: UCD-01. The node has a certificate of its own making, so the leader judges when it joins; also when it asks
// another node first.
func TestOtherSchemaIsNotLetInByInitString(t *testing.T) {
	g := expectGroup(t, 3)
	logs := make([]*logBuffer, len(g))
	for i, m := range g {
		logs[i] = &logBuffer{}
		m.node.log = slog.New(slog.NewTextHandler(logs[i], nil))
		m.run()
	}
	g.ready()
	follower := g.followers()[0]
	late := newMember(t, "n9", Options{BootstrapExpect: 3, JoinToken: g[0].opt.JoinToken, Join: []string{follower.node.Addr()}})
	late.mustOpen()
	late.node.says = release{"0.9", 1}
	late.run()
	late.waitsBecause("node n9 runs version 0.9 with schema 1 of the state", "version test with "+ourSchema)
	within(t, 10*time.Second, "the leader's log does not say it", func() bool {
		for i, m := range g {
			if m.node.lead.Load() != nil && logs[i].count("node refused") > 0 {
				return true
			}
		}
		return false
	})
	if n := len(g[0].node.membership().Servers); n != 3 {
		t.Errorf("%d members, want n9 kept out", n)
	}
}

// TestJoinOfAGroupOfAnOlderSchema: UCD-01. Its leader would let everybody in, so the node refuses itself.
func TestJoinOfAGroupOfAnOlderSchema(t *testing.T) {
	g := expectGroup(t, 2)
	m := newMember(t, "n9", Options{BootstrapExpect: 2, JoinToken: g[0].opt.JoinToken, Join: g[0].opt.Join})
	for _, m := range g {
		m.node.says = release{}
		m.node.server.handlers[callInfo] = func(context.Context, caller, []byte) ([]byte, error) {
			info := m.node.Info()
			info.GroupSchema = 0 // those do not say
			return encodeJSON(info), nil
		}
		m.run()
	}
	g.ready()
	m.mustOpen()
	m.run()
	m.waitsBecause("node n9 runs version test with "+ourSchema+" of the state", "version unknown with schema 1")
	if n := len(g[0].node.membership().Servers); n != 2 {
		t.Errorf("%d members, want n9 kept out", n)
	}
}

// TestOtherVersionWithTheSameSchema: TIP-29. It is let in and warned of in both logs, once.
func TestOtherVersionWithTheSameSchema(t *testing.T) {
	m1, log1 := alone(t)
	m2 := newMember(t, "n2", Options{JoinToken: group{m1}.joinToken(time.Hour), Join: []string{m1.node.Addr()}})
	log2 := m2.watchLog()
	m2.node.says.Version = "1.3"
	m2.run()
	group{m1, m2}.ready()
	within(t, 20*time.Second, "n2 has no vote", func() bool { return m2.node.Info().Voter })
	if log1.count("nodes run different versions") != 1 || log1.count("member=n2 version=1.3 here=1.2") != 1 {
		t.Errorf("the leader's log: %s", log1.b.String())
	}
	if log2.count("member=n1 version=1.2 here=1.3") != 1 {
		t.Errorf("the log of the node that joined: %s", log2.b.String())
	}
	for _, m := range m1.node.Members(context.Background()) {
		if want := map[string]string{"n1": "1.2", "n2": "1.3"}[m.Name]; m.Info.Version != want || m.Info.Schema != fsm.Schema {
			t.Errorf("%s: version %q, schema %d", m.Name, m.Info.Version, m.Info.Schema)
		}
	}
}

// TestNodeComesBackWithAnotherVersion: TIP-29. A rolling upgrade.
func TestNodeComesBackWithAnotherVersion(t *testing.T) {
	g := startGroup(t, 3)
	back := g.followers()[0]
	back.halt()
	log := back.watchLog()
	back.node.says.Version = "test2"
	back.run()
	g.ready()
	within(t, 20*time.Second, "its log does not warn", func() bool { return log.count("nodes run different versions") == 1 })
	back.sync()
}

// TestNodeComesBackWithAnotherSchema: UCD-01, TIP-29. One schema ahead it takes part, and may be taken back; two ahead it refuses its own state.
func TestNodeComesBackWithAnotherSchema(t *testing.T) {
	g := startGroup(t, 3)
	a, _ := g.configure()
	back := g.followers()[0]
	for i, says := range []release{{"2.0", fsm.Schema + 1}, {"1.0", fsm.Schema}} {
		back.halt()
		back.mustOpen()
		back.node.says = says
		back.run()
		g.ready()
		back.record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(i), Instance: a})
	}
	back.halt()
	back.mustOpen()
	back.node.says = release{"3.0", fsm.Schema + 2}
	wantRefusal(t, back.runFor(30*time.Second), "has "+ourSchema+", this program is version 3.0 with "+farSchema, "upgrade all nodes of the group to a version with "+laterSchema)
	back.halt()
	back.again()
	g.ready()
	for _, m := range g {
		if info := m.node.Info(); info.GroupSchema != max(fsm.BaseSchema, fsm.Schema) {
			t.Errorf("%s says that the group has schema %d", m.opt.Name, info.GroupSchema)
		}
	}
}

// TestLeaderLogsWhoIsKeptOut: UCD-01. A node that comes back tells the leader.
func TestLeaderLogsWhoIsKeptOut(t *testing.T) {
	g := expectGroup(t, 3)
	logs := map[*member]*logBuffer{}
	for _, m := range g {
		logs[m] = &logBuffer{}
		m.node.log = slog.New(slog.NewTextHandler(logs[m], nil))
		m.run()
	}
	g.ready()
	back := g.followers()[0]
	back.halt()
	back.mustOpen()
	back.node.says = release{"2.0", fsm.Schema + 2}
	if err := errors.Join(back.node.obtainCredentials(context.Background()), back.node.servePort()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	out := make(chan error, 1)
	go func() { out <- back.node.comeBack(ctx) }()
	back.waitsBecause("node "+back.opt.Name+" runs version 2.0 with "+farSchema+" of the state", "the group has "+ourSchema+", and a node may be one ahead")
	within(t, 20*time.Second, "no leader's log says it", func() bool {
		for m, log := range logs {
			if m != back && log.count("node "+back.opt.Name+" runs version 2.0 with "+farSchema) > 0 {
				return true
			}
		}
		return false
	})
	cancel()
	if err := <-out; !errors.Is(err, context.Canceled) {
		t.Errorf("it comes back: %v", err)
	}
	within(t, 20*time.Second, "the others do not serve", func() bool { return g.leader().node.Ready() == nil })
	back.halt() // first: the leader would hand over to a port that is bound and answers nothing
}

// TestOtherSchemaFoundLater: UCD-01. Nobody answered when the node came back; it stops as soon as it hears of its leader.
func TestOtherSchemaFoundLater(t *testing.T) {
	g := startGroup(t, 3)
	back := g.followers()[0]
	back.halt()
	back.mustOpen()
	back.node.says = release{"2.0", fsm.Schema + 2}
	if err := back.node.obtainCredentials(context.Background()); err != nil {
		t.Fatal(err)
	}
	leader := g.leader()
	at := leaderInfo{known: true, id: *leader.node.id.Load(), addr: leader.node.Addr()}
	err := back.node.exchange(ctxFor(t, 10*time.Second), at)
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "version 2.0 with "+farSchema) {
		t.Errorf("exchange: %v", err)
	}
	select {
	case <-back.node.failed:
	default:
		t.Error("it goes on")
	}
	back.halt() // first: the leader would hand over to a port that is bound and answers nothing
}

// TestApart: who may be in one group, and the words for who may not.
func TestApart(t *testing.T) {
	for name, c := range map[string]struct {
		own, there, inForce int
		want                string
	}{
		"founding, equal":        {4, 4, 0, ""},
		"founding, ahead":        {5, 4, 0, "until the group has one"},
		"founding, behind":       {4, 5, 0, "until the group has one"},
		"same":                   {4, 4, 4, ""},
		"ahead of the leader":    {5, 4, 4, ""},
		"leader ahead":           {4, 5, 4, ""},
		"two ahead":              {6, 5, 4, "or first upgrade all nodes to a version with schema 5, one after the other"},
		"behind what was raised": {4, 5, 5, "the group has schema 5, which is never lowered: install the version of node n1 on node n2"},
		"long before":            {0, 4, 4, "never lowered"},
		"before BaseSchema":      {4, 3, 0, "until the group has one"},
	} {
		text := release{"1", c.own}.apart("n2", release{"2", c.there}, "n1", c.inForce)
		if (text == "") != (c.want == "") || !strings.Contains(text, c.want) {
			t.Errorf("%s: %q", name, text)
		}
	}
}

// TestHostileReleases: what no program says is refused and let nobody in, wherever it comes.
func TestHostileReleases(t *testing.T) {
	g := startGroup(t, 3)
	n, peer := g.leader().node, g.followers()[0].node
	from := caller{peer.opt.Name, *peer.id.Load()}
	huge := strings.Repeat("9", maxVersion+1)
	for name, fields := range map[string]string{
		"negative":       `"version":"1","schema":-1`,
		"large":          `"version":"1","schema":1048577`,
		"beyond numbers": `"version":"1","schema":99999999999999999999`,
		"fraction":       `"version":"1","schema":2.5`,
		"no number":      `"version":"1","schema":"2"`,
		"long":           `"schema":2,"version":"` + huge + `"`,
		"escape":         `"schema":2,"version":"\u001b[2J"`,
		"newline":        `"schema":2,"version":"1\nlevel=ERROR"`,
		"no text":        `"schema":2,"version":{}`,
	} {
		who := `{"name":"` + from.name + `","id":"` + string(from.id) + `","addr":"` + peer.addr + `",` + fields + `}`
		for kind, handle := range map[string]handler{"join": n.handleJoin, "announce": n.handleAnnounce} {
			_, err := handle(ctxFor(t, 10*time.Second), from, []byte(who))
			if !errors.Is(err, ErrRefused) || len(err.Error()) > 300 || strings.ContainsAny(err.Error(), "\x1b\n") {
				t.Errorf("%s, %s: %v", name, kind, err)
			}
		}
		if _, err := n.handleToken(ctxFor(t, 10*time.Second), caller{}, []byte(`{"id":"x",`+fields+`}`)); !errors.Is(err, ErrRefused) {
			t.Errorf("%s, token: %v", name, err)
		}
	}
	for _, ok := range []release{{}, {"", maxSchema}, {strings.Repeat("9", maxVersion), 1}, {"v1.2-3-gabc dirty", 2}} {
		if err := ok.valid(); err != nil {
			t.Errorf("%+v: %v", ok, err)
		}
	}
	if _, err := Open(Options{Name: "n1", Version: huge}); err == nil || !strings.Contains(err.Error(), "at most 128 bytes") {
		t.Errorf("own version: %v", err)
	}
}

// TestHostileInfo: what a node answers that is asked how it is.
func TestHostileInfo(t *testing.T) {
	g := expectGroup(t, 2)
	var says atomic.Pointer[Info]
	g[1].node.server.handlers[callInfo] = func(context.Context, caller, []byte) ([]byte, error) { return encodeJSON(says.Load()), nil }
	for _, m := range g {
		if err := m.node.obtainCredentials(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if err := g[1].node.servePort(); err != nil {
		t.Fatal(err)
	}
	huge := strings.Repeat("9", 10_000)
	for name, info := range map[string]Info{
		"negative": {Name: "n2", Schema: -1}, "impossible group": {Name: "n2", Schema: 4, GroupSchema: 1 << 30}, "long": {Name: "n2", Version: huge}, "long name": {Name: huge}, "escape": {Name: "n2", Version: "\x1b"}, "": {Name: "n2"},
	} {
		says.Store(&info)
		got, err := g[0].node.askInfo(ctxFor(t, 10*time.Second), g[1].node.Addr(), "n2")
		if name == "" {
			if err != nil || got.Schema != 1 {
				t.Errorf("an older node: schema %d, want 1: %v", got.Schema, err)
			}
		} else if !errors.Is(err, errFrame) || len(err.Error()) > 300 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRemarksAreBounded(t *testing.T) {
	var r remarks
	start := time.Unix(1000, 0)
	for _, c := range []struct {
		after time.Duration
		text  string
		want  bool
	}{{0, "a", true}, {29 * time.Second, "a", false}, {29 * time.Second, "b", true}, {30 * time.Second, "a", true}} {
		if got := r.due(c.text, start.Add(c.after)); got != c.want {
			t.Errorf("%s after %v: %v", c.text, c.after, got)
		}
	}
	for i := range 10 * maxRemarks {
		r.due(strings.Repeat("x", i), start)
	}
	if len(r.last) > maxRemarks {
		t.Errorf("%d are kept", len(r.last))
	}
}
