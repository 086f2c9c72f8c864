package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/server/handoff"
)

// askAdmin asks a node on a connection of its own.
func askAdmin(s *Server, path string) (code int, body []byte, err error) {
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + s.config.AdminAddr + path)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

// word is what a node says of itself.
type word struct {
	term    uint64
	quorum  bool
	started time.Time // tells one process or server of the node from the next
}

// ownWord also gives no error for a 503: then it says nothing.
func ownWord(s *Server) (w word, said bool, err error) {
	code, body, err := askAdmin(s, "/v1/status?consistency=stale")
	if err != nil || code == http.StatusServiceUnavailable {
		return w, false, err
	}
	var status wire.Status
	if err := json.Unmarshal(body, &status); code != http.StatusOK || err != nil {
		return w, false, fmt.Errorf("status %d: %s: %v", code, body, err)
	}
	for _, n := range status.Nodes {
		if n.Self {
			return word{status.Term, status.Quorum, n.Started}, true, nil
		}
	}
	return w, false, fmt.Errorf("the node does not list itself: %s", body)
}

// parted lets go of everything that the next one needs, as an upgrade does.
func parted(t *testing.T, s *Server) *handoff.Sockets {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	sockets, err := s.sockets()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.part(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.letGo(); err != nil {
		t.Fatal(err)
	}
	return sockets
}

// TestOneAnswersForTheNode: while the node goes from one server to the next, who asks on the admin listener is told by one after the other, never by turns, and neither term nor anything else goes back. Who only
// wants to know whether it is ready always hears that it is.
func TestOneAnswersForTheNode(t *testing.T) {
	app := newApp(t, "i1")
	g := startGroup(t, 1)
	g.configure(t, app)
	s := g.servers[0]
	stop := make(chan struct{})
	var watchers sync.WaitGroup
	watch := func(look func() error) {
		watchers.Go(func() {
			for {
				if err := look(); err != nil {
					t.Error(err)
				}
				select {
				case <-stop:
					return
				case <-time.After(2 * time.Millisecond):
				}
			}
		})
	}
	watch(func() error {
		code, body, err := askAdmin(s, "/readyz")
		if err != nil || code != http.StatusOK {
			return fmt.Errorf("readiness: %d %s %v", code, body, err)
		}
		return nil
	})
	var last word
	var turns atomic.Int32
	answered := func(n int32) func() error {
		return func() error {
			if got := turns.Load(); got < n {
				return fmt.Errorf("%d have answered", got)
			}
			return nil
		}
	}
	watch(func() error {
		w, said, err := ownWord(s)
		if err != nil || !said {
			return err
		}
		was := last
		if !w.started.Equal(was.started) {
			turns.Add(1)
		}
		last = w
		if w.term < was.term || w.started.Before(was.started) {
			return fmt.Errorf("the node says %+v after %+v", w, was)
		}
		return nil
	})
	eventually(t, "the first one answers", answered(1))
	why := errors.New("the new program crashes")
	if err := s.beginAnew(why, parted(t, s)); !errors.Is(err, why) {
		t.Error(err)
	}
	eventually(t, "the next one answers", answered(2))
	<-time.After(200 * time.Millisecond)
	close(stop)
	watchers.Wait()
	if got := turns.Load(); got != 2 || last.term != s.next.Load().node.Info().Term {
		t.Errorf("%d have answered by turns, the last one in term %d", got, last.term)
	}
}

// TestTakenBackWithoutALeader: the answer to an upgrade that comes to nothing does not wait for a leader, which the group may not have for long. Meanwhile the process that takes part in the group no more says
// nothing of it from memory; then the node speaks as one that finds no majority. One that would obey an older configuration by what its disk says is not the node before it has a leader.
func TestTakenBackWithoutALeader(t *testing.T) {
	app := newApp(t, "i1")
	for _, behind := range []bool{false, true} {
		t.Run(fmt.Sprintf("behind=%t", behind), func(t *testing.T) {
			g := startGroup(t, 3)
			g.configure(t, app)
			s := g.servers[0]
			var sockets *handoff.Sockets
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			if behind { // what the process learns after that is not on its disk
				sockets = parted(t, s)
				was := s.state.Revision()
				next := *was.Config
				next.Listeners = append(slices.Clone(next.Listeners), config.Listener{Name: "more", Address: fmt.Sprintf(":%d", freePort(t))})
				if got, err := g.servers[1].node.Propose(ctx, &fsm.ConfigSet{Actor: "test", Expect: was.Number, Config: &next}); err != nil || got.Code != fsm.CodeOK {
					t.Fatalf("%+v %v", got, err)
				}
				eventually(t, "it knows the new configuration", func() error {
					if now := s.state.Revision().Number; now == was.Number {
						return errors.New("not yet")
					}
					return nil
				})
			} else { // with the next entry the log says that the one before is committed
				id, _ := s.state.InstanceID("cluster1", "i1")
				for i := range 3 {
					if _, err := s.node.Record(ctx, fsm.SessionOp{Kind: fsm.OpAssign, Key: fsm.Key{byte(i)}, Instance: id, Reason: fsm.ReasonPolicy}); err != nil {
						t.Fatal(err)
					}
				}
				if err := s.node.Sync(ctx); err != nil {
					t.Fatal(err)
				}
			}
			for i := 1; i < 3; i++ {
				g.stop[i]()
				err := <-g.done[i]
				g.done[i] <- err
			}
			if !behind {
				eventually(t, "nobody leads", func() error {
					if leader := s.node.Leader(); leader != "" {
						return errors.New(leader)
					}
					return nil
				})
				sockets = parted(t, s)
			}
			if code, body, err := askAdmin(s, "/v1/status?consistency=stale"); err != nil || code != http.StatusServiceUnavailable || !strings.Contains(string(body), "does not serve yet") {
				t.Errorf("the one before says: %d %s %v", code, body, err)
			}
			if code, body, err := askAdmin(s, "/readyz"); err != nil || code != http.StatusOK {
				t.Errorf("the one before: readiness %d %s %v", code, body, err)
			}
			why := errors.New("the new program crashes")
			done, began := make(chan error, 1), time.Now()
			go func() { done <- s.beginAnew(why, sockets) }()
			select {
			case err := <-done:
				if !errors.Is(err, why) {
					t.Error(err)
				}
				t.Logf("told after %v", time.Since(began))
			case <-time.After(time.Minute):
				t.Fatal("the answer waits for a leader")
			}
			if next := s.next.Load(); behind {
				if err := s.balancer.Serving(); next == nil && err != nil {
					t.Errorf("the one before does not serve: %v", err)
				}
				var e *UpgradeError
				if _, err := s.UpgradeBinary(t.Context(), Upgrade{}); next != nil || !errors.As(err, &e) || !strings.Contains(e.Words, "does not take part in its group again yet") {
					t.Errorf("the next server %p, another upgrade: %v", next, err)
				}
				return
			} else if next == nil {
				t.Fatal("it is not taken back")
			}
			eventually(t, "the next one says that it finds no majority", func() error {
				w, said, err := ownWord(s)
				if err == nil && (!said || w.quorum) {
					err = fmt.Errorf("%+v %v", w, said)
				}
				return err
			})
			if err := s.next.Load().ready(); err != nil {
				t.Errorf("it is to serve the sessions that it knows: %v", err)
			}
		})
	}
}
