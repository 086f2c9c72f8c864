package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/internal/s3test"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"holdfast": main})
}

// TestScripts runs the command lines of testdata/script, each against a group of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			g := newFakeGroup()
			srv := httptest.NewServer(g.api)
			env.Defer(srv.Close)
			env.Values["group"] = g
			writeCerts(t, env.WorkDir)
			env.Setenv("HOLDFAST_ADMIN", srv.URL)
			env.Setenv("URL", srv.URL)
			env.Setenv("PORT", srv.URL[strings.LastIndexByte(srv.URL, ':')+1:])
			store := s3test.New()
			env.Defer(store.Close)
			env.Values["store"] = store
			for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_S3"} {
				env.Setenv(name, store.Getenv(name))
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": exitIs, // status N CMD...: runs CMD and wants this exit status
			"group":  groupDoes,
			"store":  storeDoes,
			"width":  width,
		},
	})
}

// exitIs: testscript itself only tells zero from the rest. The answers are kept for stdout and stderr.
func exitIs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N COMMAND...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	var exit interface{ ExitCode() int }
	if errors.As(err, &exit) {
		got = fmt.Sprint(exit.ExitCode())
	}
	if got != args[0] {
		ts.Fatalf("exit status %s, want %s", got, args[0])
	}
}

// groupDoes changes the fake: group lost | lagging | sick | interfere | sessions | whole (no silent node) | idle (nothing in flight) | up (all instances
// available) | quiesced (the time of all quiesces is over) | vip (n1 holds a virtual address) | refuses (transfers) | stuck (an evacuation gets no further) | breaks, mends (backups) | scheduled (backups: one was made, the next one failed) |
// gone (n9, no member, is evacuated) | wrong (the other node is in quarantine).
func groupDoes(ts *testscript.TestScript, _ bool, args []string) {
	g := ts.Value("group").(*fakeGroup)
	switch args[0] {
	case "lost":
		g.lost.Store(true)
	case "lagging":
		g.lagging.Store(true)
	case "sick":
		g.sick.Store(true)
	case "whole":
		g.whole.Store(true)
	case "idle":
		g.idle.Store(true)
	case "wrong":
		g.wrong.Store(true)
	case "up":
		g.up.Store(true)
	case "breaks":
		g.breaks.Store(true)
	case "scheduled":
		ts.Check(g.scheduledBackups())
	case "mends":
		g.breaks.Store(false)
	case "drains":
		g.drains.Store(true)
	case "vip":
		g.vip.Store(true)
		_, err := g.Propose(context.Background(), &fsm.HolderSet{Node: "n1", Term: 2 + g.term.Add(1), Addresses: []string{"10.0.0.100/24@eth0"}})
		ts.Check(err)
	case "refuses":
		g.refuses.Store(true)
	case "stuck":
		g.stuck.Store(true)
	case "gone":
		_, err := g.Propose(context.Background(), &fsm.EvacuationSet{Node: "n9", Actor: "token ab"})
		ts.Check(err)
	case "data": // an application keeps data of the session that 'group sessions' puts on instance1
		key := sessionKey("id-1")
		res, err := g.Propose(context.Background(), &fsm.StorePut{StoreKey: fsm.StoreKey{Space: fsm.SpaceSessions, Module: 1, Key: string(key[:])}, Type: "text/plain", Data: []byte("cart of ann")})
		ts.Check(errors.Join(err, admin.Refused(res)))
	case "quiesced":
		ts.Check(g.endQuiesces())
	case "interfere":
		ts.Check(g.interfere())
	case "sessions":
		ts.Check(g.addSessions())
	default:
		ts.Fatalf("group %s?", args[0])
	}
}

// width N: no line of stdout is wider.
func width(ts *testscript.TestScript, _ bool, args []string) {
	for _, line := range strings.Split(ts.ReadFile("stdout"), "\n") {
		if n := len([]rune(line)); fmt.Sprint(n) > args[0] && len(fmt.Sprint(n)) >= len(args[0]) {
			ts.Fatalf("a line is %d wide: %s", n, line)
		}
	}
}

// fakeGroup is a group of two nodes, of which one is real enough: its state is.
type fakeGroup struct {
	state *fsm.State
	api   *admin.API
	mu    sync.Mutex
	index uint64
	now   time.Time

	lost, lagging, sick, whole, idle, up, drains, breaks, wrong atomic.Bool

	vip, refuses, stuck atomic.Bool // virtual addresses are on; transfers are refused; an evacuation gets no further
	leads               atomic.Pointer[string]
	removed, resynced   atomic.Pointer[string]
	term                atomic.Uint64
	steps               atomic.Int64 // of an evacuation
}

func newFakeGroup() *fakeGroup {
	g := &fakeGroup{state: fsm.New(), now: time.Now().UTC()}
	api, err := admin.New(admin.Options{
		Node: g, State: g.state, Sessions: g, Gatherer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler), QuorumWait: 20 * time.Millisecond,
		JoinToken: func(id string, _ [32]byte, _ time.Time) (string, error) { return "hfj1." + id, nil }, Backup: g.backup, UpgradeBinary: g.upgradeBinary,
	})
	if err == nil {
		g.api = api
		_, err = g.Propose(context.Background(), &fsm.GroupInit{RequestID: fsm.RequestID{1}, Group: fsm.Group{
			ID: "0f0e0d0c-0b0a-4908-8706-050403020100", Name: "shop", Epoch: 1, Secret: make([]byte, 32), CACert: []byte{1}, CAKey: []byte{1}}})
	}
	if err != nil {
		panic(err)
	}
	return g
}

func (g *fakeGroup) Propose(_ context.Context, c fsm.Command) (fsm.Result, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now = g.now.Add(time.Second)
	entry, err := fsm.Encode(g.now, c)
	if err != nil {
		return fsm.Result{}, err
	}
	g.index++
	res, err := g.state.Apply(g.index, entry)
	res.Index = g.index
	return res, err
}

// interfere changes the configuration behind the operator's back.
func (g *fakeGroup) interfere() error {
	rev := g.state.Revision()
	_, err := g.Propose(context.Background(), &fsm.ConfigSet{RequestID: fsm.RequestID{9, byte(rev.Number)}, Expect: rev.Number, Actor: "somebody", Config: rev.Config})
	return err
}

// endQuiesces lets the time of all quiesces go by, and ends them.
func (g *fakeGroup) endQuiesces() error {
	g.mu.Lock()
	g.now = g.now.Add(24 * time.Hour)
	g.mu.Unlock()
	for _, q := range g.state.Operating().Quiesces {
		res, err := g.Propose(context.Background(), &fsm.QuiesceEnd{ID: q.ID, Subject: q.Subject, Deadline: q.Deadline, Node: "n1"})
		if err != nil || res.Code != fsm.CodeOK {
			return fmt.Errorf("end %v: %v %v", q.Subject, res, err)
		}
	}
	return nil
}

// addSessions assigns three sessions of cluster1; the last is that of the application's id "id-1".
func (g *fakeGroup) addSessions() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var ops []fsm.SessionOp
	for i, key := range []fsm.Key{{0xaa}, {0xbb}, sessionKey("id-1")} {
		id, ok := g.state.InstanceID("cluster1", fmt.Sprint("instance", 1+i%2))
		if !ok {
			return errors.New("apply shop.yaml first")
		}
		ops = append(ops, fsm.SessionOp{Kind: fsm.OpAssign, Key: key, Instance: id})
	}
	g.index++
	_, err := g.state.Apply(g.index, fsm.EncodeSessions(g.now, ops))
	return err
}

func (g *fakeGroup) Sync(ctx context.Context) error {
	if g.lost.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (g *fakeGroup) WaitAll(ctx context.Context, index uint64) error {
	if g.lagging.Load() {
		<-ctx.Done()
		return fmt.Errorf("node n3 has not applied %d in time", index)
	}
	return nil
}

func (g *fakeGroup) Info() admin.Info {
	if g.lost.Load() {
		return admin.Info{Name: "n1", Version: "v1.2.3"}
	}
	return admin.Info{Name: "n1", Version: "v1.2.3", Leader: g.leader(), Term: 2 + g.term.Load(), Quorum: true}
}

const longName = "node-with-a-very-long-name-that-does-not-fit-into-its-column"

func (g *fakeGroup) Members(context.Context) []admin.Member {
	g.evacuateStep()
	applied, digest := g.state.DigestAt()
	m := admin.Member{Name: "n1", Self: true, Role: "leader", Voter: true, Reachable: true, Ready: true, Version: "v1.2.3", Schema: fsm.Schema, Zone: "z1",
		PeerAddr: "127.0.0.1:7701", AdminAddr: "127.0.0.1:7700", Applied: applied, Digest: digest, Sessions: g.state.Len(), Revision: g.state.Revision().Number, InForce: g.state.Operating().Index}
	other := m
	other.Name, other.Self, other.Role, other.ClockSkew = longName, false, "follower", 3*time.Millisecond
	at := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
	m.Duties = []admin.DutyStatus{{Duty: "quiesce", Since: at, Last: at.Add(time.Minute), Runs: 7, Error: "refused by\x1b the state", Failed: at}, {Duty: "lock", Since: at}}
	if g.sick.Load() {
		other.Digest[0]++
		other.Version = "v1.3.0"
		m.Duties[0].Failed = m.Duties[0].Last
	}
	m.VIP, other.VIP = g.address(m.Name), g.address(other.Name)
	if g.wrong.Load() {
		other.Ready, other.Reason = false, "the node is in quarantine"
		other.Quarantine = &admin.Quarantine{Cause: "diverged", Since: at, Index: 7, Text: "its state is not the group's", Difference: "session key 00ff: here it has no assignment"}
	}
	if g.leader() != "n1" {
		m.Role, other.Role, m.Duties = "follower", "leader", nil
	}
	if g.lost.Load() {
		m.Role, m.Duties = "candidate", nil
	}
	if g.whole.Load() {
		return g.membership([]admin.Member{m, other})
	}
	return g.membership([]admin.Member{m, other, {Name: "n3", Err: "connection refused"}})
}

func (g *fakeGroup) Ready() error { return nil }

func (g *fakeGroup) Instances() []admin.InstanceStatus {
	one := admin.InstanceStatus{Cluster: "cluster1", Instance: "instance1", Up: true, InFlight: 4}
	two := admin.InstanceStatus{Cluster: "cluster1", Instance: "instance2", Reason: "connection refused"}
	if g.idle.Load() {
		one.InFlight = 0
	}
	if g.up.Load() {
		two.Up, two.Reason = true, ""
	}
	if g.drains.Load() { // by its agent
		two.Agent, two.Withheld = "drain, 50%", 1
	}
	return []admin.InstanceStatus{one, two}
}

func sessionKey(session string) fsm.Key {
	h := sha256.Sum256([]byte(session))
	return fsm.Key(h[:16])
}

func (g *fakeGroup) Key(_, _, _, session string) (fsm.Key, error) { return sessionKey(session), nil }

func (g *fakeGroup) OpenCookie(_, _, _, _ string) (admin.Cookie, error) {
	return admin.Cookie{}, errors.New("forged")
}

// TestEveryCommandHasAnExample: help without one is no help.
func TestEveryCommandHasAnExample(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Example == "" || c.Short == "" {
			t.Errorf("%s: no example or no short text", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRootCommand(&globals{lookupEnv: func(string) (string, bool) { return "", false }}))
}
