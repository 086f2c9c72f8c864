package admin_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeNode is a group of one: what is proposed is applied to a real state at once.
type fakeNode struct {
	upgrades   []wire.BinaryUpgrade
	upgradeErr error
	state      *fsm.State
	mu         sync.Mutex // one proposal at a time, as in a log
	index      uint64
	now        time.Time

	// view is what the API reads: the state, with what a test puts into Operating and Plan.
	view fakeState
	// answer, when set, may answer a command instead of the state.
	answer   func(fsm.Command) (res fsm.Result, answered bool)
	commands []fsm.Command // that were proposed
	beats    []config.Instance
	gone     []fsm.InstanceRef

	transfers   []string // whom Transfer was called with
	transferErr error
	removals    []string
	resyncs     []string
	memberErr   error

	parted   atomic.Bool
	lost     atomic.Bool // no quorum: Sync and Propose end with their context
	waitErr  error
	readyErr error
	proposed func() // called before a proposal is applied
	backup   func(context.Context) (*admin.Backup, error)
	restore  func(context.Context, admin.Restore) (wire.Restored, error)
	follow   func(context.Context, admin.FollowFrom) (*admin.Follow, error)
	members  []admin.Member
	syncErr  error
	copies   admin.Copies // for an API that is made afterwards
	health   []admin.InstanceStatus
}

func (n *fakeNode) Propose(ctx context.Context, c fsm.Command) (fsm.Result, error) {
	if n.lost.Load() {
		<-ctx.Done()
		return fsm.Result{}, ctx.Err()
	}
	if n.proposed != nil {
		n.proposed()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now = n.now.Add(time.Second)
	n.commands = append(n.commands, c)
	if n.answer != nil {
		if res, answered := n.answer(c); answered {
			n.index++
			n.state.Advance(n.index)
			res.Index = n.index
			return res, nil
		}
	}
	if change, ok := c.(*fsm.ConfigChange); ok {
		c = n.view.plainly(change)
	}
	entry, err := fsm.Encode(n.now, c)
	if err != nil {
		return fsm.Result{}, err
	}
	n.index++
	res, err := n.state.Apply(n.index, entry)
	res.Index = n.index
	return res, err
}

// fakeState is a real state of which a test sets what is in force beside the configuration.
type fakeState struct {
	*fsm.State
	// shape, when set, changes a copy of what the state has.
	shape atomic.Pointer[func(*fsm.Operating)]
	plan  func(next *config.Config, now []fsm.Subject) fsm.Effect
	left  map[fsm.Subject]int // assignments of modules
	// watched, when set, is called when somebody begins to wait for a change of the store.
	watched func()
}

func (s *fakeState) operating(change func(*fsm.Operating)) { s.shape.Store(&change) }

func (s *fakeState) Operating() *fsm.Operating {
	op := s.State.Operating()
	if change := s.shape.Load(); change != nil {
		shaped := *op
		(*change)(&shaped)
		return &shaped
	}
	return op
}

func (s *fakeState) StoreNews() <-chan struct{} {
	if s.watched != nil {
		s.watched()
	}
	return s.State.StoreNews()
}

func (s *fakeState) Plan(next *config.Config, now []fsm.Subject) fsm.Effect {
	if s.plan == nil {
		return fsm.Effect{}
	}
	return s.plan(next, now)
}

// ModuleID numbers the modules of left; the id of a module that is not there is 0.
func (s *fakeState) ModuleID(cluster, host, contextRoot string) (fsm.ModuleID, bool) {
	n, ok := s.left[fsm.Subject{Cluster: cluster, Host: host, ContextRoot: contextRoot}]
	return fsm.ModuleID(n), ok
}

func (s *fakeState) ModuleSessions(id fsm.ModuleID) int { return int(id) }

// plainly is what a change comes down to when nothing quiesces: the compare-and-swap of the configuration.
func (s *fakeState) plainly(c *fsm.ConfigChange) fsm.Command {
	return &fsm.ConfigSet{RequestID: c.RequestID, Expect: c.Expect, Actor: c.Actor, Message: c.Message, Config: c.Config}
}

// apply puts a command into the log; the caller holds mu.
func (n *fakeNode) apply(t testing.TB, c fsm.Command) fsm.Result {
	t.Helper()
	entry, err := fsm.Encode(n.now, c)
	if err != nil {
		t.Fatal(err)
	}
	n.index++
	res, err := n.state.Apply(n.index, entry)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// last is the command that was proposed last, which must be a T.
func last[T fsm.Command](t *testing.T, n *fakeNode) T {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	c, ok := n.commands[len(n.commands)-1].(T)
	if !ok {
		t.Fatalf("%T was proposed", n.commands[len(n.commands)-1])
	}
	return c
}

func (n *fakeNode) sessions(t testing.TB, ops ...fsm.SessionOp) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.index++
	if _, err := n.state.Apply(n.index, fsm.EncodeSessions(n.now, ops)); err != nil {
		t.Fatal(err)
	}
}

func (n *fakeNode) Sync(ctx context.Context) error {
	if n.syncErr != nil {
		return n.syncErr
	}
	if n.lost.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (n *fakeNode) WaitAll(context.Context, uint64) error { return n.waitErr }

func (n *fakeNode) Info() admin.Info {
	info := admin.Info{Name: "n1", Version: "v1.2.3", Leader: "n1", Term: 4, Quorum: true, Parted: n.parted.Load()}
	if n.lost.Load() {
		info.Leader, info.Quorum = "", false
	}
	return info
}

func (n *fakeNode) Members(context.Context) []admin.Member { return n.members }
func (n *fakeNode) Ready() error                           { return n.readyErr }
func (n *fakeNode) Instances() []admin.InstanceStatus      { return n.health }

// fakeSessions knows ids that start with "id-" and cookies that start with "sealed-".
type fakeSessions struct{}

func keyOf(cluster, session string) fsm.Key {
	h := sha256.Sum256([]byte(cluster + "\x00" + session))
	return fsm.Key(h[:16])
}

func (fakeSessions) Key(cluster, _, _, session string) (fsm.Key, error) {
	if !strings.HasPrefix(session, "id-") {
		return fsm.Key{}, fmt.Errorf("no id: %s", session)
	}
	return keyOf(cluster, session), nil
}

func (fakeSessions) OpenCookie(cluster, _, _, cookie string) (admin.Cookie, error) {
	if !strings.HasPrefix(cookie, "sealed-") {
		return admin.Cookie{}, errors.New("not authentic")
	}
	return admin.Cookie{Key: keyOf(cluster, cookie), Instance: 1, Epoch: 1, Index: 7}, nil
}

// rig is an API over a fake node, served on loopback.
type rig struct {
	*testing.T
	node *fakeNode
	api  *admin.API
	url  string
	log  *syncBuffer
}

type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newNode(t testing.TB) *fakeNode {
	t.Helper()
	n := &fakeNode{state: fsm.New(), now: time.Now().UTC().Truncate(time.Second)}
	n.view.State = n.state
	n.backup = func(context.Context) (*admin.Backup, error) { return backupOf("archive"), nil }
	n.restore = func(context.Context, admin.Restore) (wire.Restored, error) { return wire.Restored{}, admin.ErrNoQuorum }
	n.follow = func(context.Context, admin.FollowFrom) (*admin.Follow, error) { return nil, admin.ErrClosed }
	_, err := n.Propose(t.Context(), &fsm.GroupInit{RequestID: fsm.RequestID{1}, Group: fsm.Group{
		ID: "0f0e0d0c-0b0a-4908-8706-050403020100", Name: "test", Epoch: 1, Secret: make([]byte, 32), CACert: []byte{1}, CAKey: []byte{2}, Created: n.now}})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func newAPI(t testing.TB, n *fakeNode, log io.Writer) *admin.API {
	t.Helper()
	api, err := admin.New(admin.Options{
		Node: n, State: &n.view, Sessions: fakeSessions{}, Gatherer: prometheus.NewRegistry(),
		JoinToken:  func(id string, _ [32]byte, _ time.Time) (string, error) { return "hfj1." + id, nil },
		Logger:     slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		QuorumWait: 50 * time.Millisecond, CommitWait: 20 * time.Second,
		Copies:  n.copies,
		Backup:  func(ctx context.Context, _ wire.BackupValues) (*admin.Backup, error) { return n.backup(ctx) },
		Follow:  func(ctx context.Context, from admin.FollowFrom) (*admin.Follow, error) { return n.follow(ctx, from) },
		Restore: func(ctx context.Context, what admin.Restore) (wire.Restored, error) { return n.restore(ctx, what) },
		UpgradeBinary: func(_ context.Context, u wire.BinaryUpgrade) (wire.BinaryUpgraded, error) {
			n.upgrades = append(n.upgrades, u)
			return wire.BinaryUpgraded{Node: "n1", Program: u.Program, Pid: 7, Version: "v2", Before: "v1", Schema: 4, Took: 1200, Gap: 300}, n.upgradeErr
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return api
}

func newRig(t *testing.T) *rig {
	t.Helper()
	n := newNode(t)
	log := &syncBuffer{}
	api := newAPI(t, n, log)
	srv := httptest.NewUnstartedServer(api)
	srv.Config = admin.NewServer(api, slog.New(slog.NewTextHandler(log, nil)))
	srv.Start()
	t.Cleanup(srv.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return &rig{T: t, node: n, api: api, url: srv.URL, log: log}
}

// busy puts into force what most calls need: three nodes, clusters of which one lets instances register, and a running quiesce of id 7. The group accepts
// whatever the state does not know.
func (r *rig) busy() *rig {
	r.Helper()
	c, err := config.Parse("", []byte(strings.Replace(okConfig, "- name: cluster1", "- name: cluster1\n    registration: {allow: true}", 1)))
	if err != nil {
		r.Fatal(err)
	}
	c.Clusters[0].Instances[1].Enabled = false
	start := r.node.now
	r.node.members = threeNodes()
	r.node.view.operating(func(o *fsm.Operating) {
		o.Config, o.Index = c, 99
		o.Certificates = []fsm.Certificate{{Name: "n1", Chain: [][]byte{{1}}, Version: 5}}
		o.Quiesces = []fsm.Quiesce{{ID: 7, Subject: fsm.Subject{Cluster: "cluster1", Instance: "instance2"}, Started: start, Deadline: start.Add(31 * time.Minute), Actor: "token ab", Revision: 2}}
	})
	r.node.answer = func(c fsm.Command) (fsm.Result, bool) {
		switch c.(type) {
		case *fsm.QuiesceSet, *fsm.LockSet, *fsm.LockClear, *fsm.ScheduleSet, *fsm.ScheduleDrop, *fsm.InstanceRegister, *fsm.CertificatePut:
			return fsm.Result{}, true
		}
		return fsm.Result{}, false
	}
	return r
}

// token adds a token to the state and returns its text.
func (r *rig) token(role string, expires time.Time) string {
	r.Helper()
	secret := sha256.Sum256([]byte("secret of " + role + expires.String()))
	hash := sha256.Sum256(secret[:])
	id := fmt.Sprintf("%x", hash[8:16])
	res, err := r.node.Propose(r.Context(), &fsm.TokenPut{RequestID: fsm.RequestID(hash[:16]), Token: fsm.Token{ID: id, Role: role, Hash: hash[:], Expires: expires}})
	if err != nil || res.Code != fsm.CodeOK {
		r.Fatal(err, res)
	}
	return "hft1." + id + "." + base64.RawURLEncoding.EncodeToString(secret[:])
}
