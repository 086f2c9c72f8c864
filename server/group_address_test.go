package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/internal/calm"
	"github.com/holdfast-lb/holdfast/vip"
)

// testLink is the network on which the nodes of a group hold the address.
type testLink struct {
	mu      sync.Mutex
	keepers []*testKeeper
	story   []string // what the keepers did, in order
	foreign string   // the link-layer address of a machine that is none of ours and has the address; empty: there is none
	usurped string   // the address that it has; empty: the first
	hopless bool     // no machine has an address of its own there
	clients int      // connections to the address, on every node
}

// testKeeper is one node's machine.
type testKeeper struct {
	link   *testLink
	name   string
	until  vip.Deadline
	holds  bool
	silent bool
	relay  string // to whom
	// unreached says why clients of the address find no listener there.
	unreached error
	late      bool // the lease is over whenever it has the addresses
	events    chan vip.Event
	closed    sync.Once
}

// join gives the next node its machine.
func (l *testLink) join(c *Config) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := &testKeeper{link: l, name: c.Name, events: make(chan vip.Event, 16)}
	l.keepers = append(l.keepers, k)
	c.VIPs = []string{"192.0.2.100/24@eth0"}
	c.holding = func([]vip.Address) (holding, error) { // the listeners are elsewhere than the address
		own := link{nets: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}}
		reached := func([]netip.Addr) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			return k.unreached
		}
		open := func([]netip.Addr) (int, int) {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.clients, 0
		}
		return holding{keeper: k, reached: reached, link: func(string) (link, error) { return own, nil }, open: open}, nil
	}
}

func (l *testLink) keeper(name string) *testKeeper {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.keepers[slices.IndexFunc(l.keepers, func(k *testKeeper) bool { return k.name == name })]
}

func (l *testLink) tell(k *testKeeper, what string) { l.story = append(l.story, k.name+" "+what) }

// holders lists who has the address, and who has it silently.
func (l *testLink) holders() (holders, prepared []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.keepers {
		switch {
		case !k.holds || k.until <= vip.Now():
		case k.silent:
			prepared = append(prepared, k.name)
		default:
			holders = append(holders, k.name)
		}
	}
	return holders, prepared
}

// since gives the story from its n-th step on.
func (l *testLink) since(n int) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.story[n:])
}

func (k *testKeeper) Hold(_ context.Context, until vip.Deadline) error {
	k.link.mu.Lock()
	defer k.link.mu.Unlock()
	if k.late || until <= vip.Now() {
		return vip.ErrTooLate
	}
	if !k.holds || k.silent || k.until <= vip.Now() {
		k.link.tell(k, "takes")
	}
	k.until, k.holds, k.silent = until, true, false
	return nil
}

func (k *testKeeper) Prepare(_ context.Context, until vip.Deadline) ([]vip.Hop, error) {
	k.link.mu.Lock()
	defer k.link.mu.Unlock()
	if !k.holds {
		k.link.tell(k, "prepares")
	}
	k.until, k.holds, k.silent = until, true, true
	if k.link.hopless {
		return nil, nil
	}
	return []vip.Hop{{Interface: k.name}}, nil
}

func (k *testKeeper) Relay(_ context.Context, to []vip.Hop) error {
	k.link.mu.Lock()
	defer k.link.mu.Unlock()
	was := k.relay
	switch {
	case to == nil:
		k.relay = ""
		k.link.tell(k, "ends its relay")
	case !k.holds || k.silent || k.until <= vip.Now():
		return errors.New("only who holds the addresses can relay connections to them")
	default:
		if k.relay = to[0].Interface; k.relay != was {
			k.link.tell(k, "relays to "+k.relay)
		}
	}
	return nil
}

// lose is the end of the guard process: the next one knows of nothing.
func (k *testKeeper) lose() {
	k.link.mu.Lock()
	defer k.link.mu.Unlock()
	k.holds, k.silent, k.relay = false, false, ""
	k.link.tell(k, "loses all")
	k.events <- vip.Event{Kind: vip.EventLost, Text: "killed"}
}

func (k *testKeeper) Drop(_ context.Context, linger time.Duration) error {
	k.link.mu.Lock()
	defer k.link.mu.Unlock()
	if k.holds {
		k.link.tell(k, fmt.Sprintf("drops, linger %v", linger))
	}
	k.holds, k.silent, k.relay = false, false, ""
	return nil
}

func (k *testKeeper) Announce(context.Context) error { return nil }
func (k *testKeeper) Probe(context.Context, time.Duration) ([]vip.Claim, error) {
	k.link.mu.Lock()
	defer k.link.mu.Unlock()
	if k.holds && !k.silent && k.until > vip.Now() {
		return nil, errors.New("the addresses are held")
	}
	if k.link.tell(k, "asks"); k.link.foreign == "" {
		return nil, nil
	}
	a, err := vip.ParseAddress(cmp.Or(k.link.usurped, "192.0.2.100/24@eth0"))
	return []vip.Claim{{Address: a, Hardware: k.link.foreign}}, err
}
func (k *testKeeper) Events() <-chan vip.Event { return k.events }
func (k *testKeeper) Close() error {
	err := k.Drop(context.Background(), 0)
	k.closed.Do(func() { close(k.events) })
	return err
}

// storyStall is how long this process may stand still in a story whose order is judged. When a lease has run out over that the holder takes the address once more.
const storyStall = 100 * time.Millisecond

// startHolders founds a group of three that has a virtual address, and waits for its holder. The lease is long, since a successor that takes it up later
// finds the addresses dropped: so on a machine that has much else to do the order of a hand-over is what it should be.
func startHolders(t testing.TB, settings ...func(*Config)) (*testGroup, *testLink) {
	t.Helper()
	link := &testLink{}
	patient := func(c *Config) { c.Timing = "wan" }
	g := startGroup(t, 3, append([]func(*Config){patient, link.join}, settings...)...)
	link.holder(t, g)
	return g, link
}

// holder waits until one node holds, everybody agrees on it, and the group has noted it.
func (l *testLink) holder(t testing.TB, g *testGroup, not ...string) string {
	t.Helper()
	var name string
	eventually(t, "one node holds the address", func() error {
		holders, prepared := l.holders()
		if len(holders) != 1 || len(prepared) != 0 || slices.Contains(not, holders[0]) {
			return fmt.Errorf("%v hold, %v are prepared", holders, prepared)
		}
		name = holders[0]
		for _, s := range g.servers {
			if s.leaving.Load() {
				continue
			}
			if h := s.state.Operating().Holder; h == nil || h.Node != name {
				return fmt.Errorf("node %s has noted %+v, %s holds", s.config.Name, h, name)
			}
		}
		return nil
	})
	return name
}

func (g *testGroup) byName(name string) *Server {
	return g.servers[slices.IndexFunc(g.servers, func(s *Server) bool { return s.config.Name == name })]
}

// other gives a node that has not the name.
func (g *testGroup) other(name string) *Server {
	return g.servers[slices.IndexFunc(g.servers, func(s *Server) bool { return s.config.Name != name })]
}

// handOver is the story of a hand-over from one node to another.
func handOver(from, to string) []string {
	return []string{to + " prepares", from + " relays to " + to, to + " takes", from + " drops, linger 2s"}
}

// wantHandOver checks the order of one.
func wantHandOver(t testing.TB, story []string, from, to string) {
	t.Helper()
	want := handOver(from, to)
	if !slices.Equal(story, want) {
		t.Errorf("the story of the hand-over\n  %s\nwant\n  %s", strings.Join(story, "\n  "), strings.Join(want, "\n  "))
	}
}

// TestForeignAddressIsNotTakenByTheNextLeader: the one before has asked, and has not held. The next one must ask too; once somebody has held nobody asks any more.
func TestForeignAddressIsNotTakenByTheNextLeader(t *testing.T) {
	link := &testLink{foreign: "02:00:00:00:00:99"}
	g := startGroup(t, 3, func(c *Config) { c.Timing = "wan" }, link.join)
	refuses := func(not string) string {
		t.Helper()
		var name string
		eventually(t, "a leader asks the link, and is told that another machine has the address", func() error {
			story := link.since(0)
			if slices.ContainsFunc(story, func(step string) bool { return strings.HasSuffix(step, " takes") }) {
				t.Fatalf("what another machine has is taken: %v", story)
			}
			for _, s := range g.servers {
				asks := func(step string) bool { return step == s.config.Name+" asks" }
				if name = s.config.Name; name != not && s.node.Info().Role == "leader" && slices.ContainsFunc(story, asks) && s.address.Status().Conflict != "" {
					return nil
				}
			}
			return fmt.Errorf("nobody but %q does: %v", not, story)
		})
		return name
	}
	first := refuses("")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := (adminNode{g.byName(first)}).Transfer(ctx, g.other(first).config.Name); err != nil {
		t.Fatal(err)
	}
	refuses(first)
	link.mu.Lock()
	link.foreign = ""
	link.mu.Unlock()
	holder := link.holder(t, g)
	steps := len(link.since(0))
	if err := (adminNode{g.byName(holder)}).Transfer(ctx, g.other(holder).config.Name); err != nil {
		t.Fatal(err)
	}
	link.holder(t, g, holder)
	if story := link.since(steps); slices.ContainsFunc(story, func(s string) bool { return strings.HasSuffix(s, " asks") }) {
		t.Errorf("a take-over waits for the answer to a question: %v", story)
	}
}

// TestAnAddedAddressIsAskedFor: the group has held the others, and nobody this one. What somebody else has is not taken, and a node without it holds.
func TestAnAddedAddressIsAskedFor(t *testing.T) {
	adds := func(c *Config) { c.VIPs = append(c.VIPs, fmt.Sprintf("192.0.2.10%s/24@eth0", c.Name[1:])) } // each node another one
	g, link := startHolders(t, adds)
	first := link.holder(t, g)
	to := g.other(first)
	steps := len(link.since(0))
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	link.change(func() { link.foreign = "02:00:00:00:00:99" }) // the answer of the holder before is no reason
	if err := (adminNode{g.byName(first)}).Transfer(ctx, to.config.Name); err != nil {
		t.Fatal(err)
	}
	if now := link.holder(t, g, first); now != to.config.Name {
		t.Fatalf("%s holds", now)
	}
	story := link.since(steps)
	asks, takes := slices.Index(story, to.config.Name+" asks"), slices.Index(story, to.config.Name+" takes")
	if asks < 0 || takes < asks {
		t.Errorf("it has not asked first: %q", story)
	}

	third := g.servers[slices.IndexFunc(g.servers, func(s *Server) bool { return s != to && s.config.Name != first })]
	steps = len(link.since(0))
	link.change(func() { link.usurped = third.config.VIPs[1] })
	if err := (adminNode{to}).Transfer(ctx, third.config.Name); err != nil {
		t.Fatal(err)
	}
	link.holder(t, g, third.config.Name)
	eventually(t, "the node that may not take it says why", func() error {
		if st := third.address.Status(); st.Eligible || !strings.Contains(st.Reason, "in use by 02:00:00:00:00:99") || !strings.Contains(st.Conflict, "02:00:00:00:00:99") {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
	if story := link.since(steps); slices.Contains(story, third.config.Name+" takes") {
		t.Errorf("what another machine has is taken: %q", story)
	}
}

// TestSuccessorWithoutAnAddress: connections to it would be sent on to a machine that has not got it, and nobody would have it then.
func TestSuccessorWithoutAnAddress(t *testing.T) {
	g, link := startHolders(t, func(c *Config) {
		if c.Name != "n2" {
			c.VIPs = append(c.VIPs, "192.0.2.101/24@eth0")
		}
	})
	holder := link.holder(t, g)
	if holder == "n2" {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := (adminNode{g.byName("n2")}).Transfer(ctx, "n1"); err != nil {
			t.Fatal(err)
		}
		holder = link.holder(t, g, "n2")
	}
	want := []string{"n3", "n2"}
	if holder == "n3" {
		want[0] = "n1"
	}
	eventually(t, "both others may follow, n2 last", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if names, errs := g.byName(holder).successors(ctx, ""); !slices.Equal(names, want) {
			return fmt.Errorf("%q, %v", names, errs)
		}
		return nil
	})
}

func TestAddressIsHandedOver(t *testing.T) {
	calm.Try(t, storyStall, func(t testing.TB) {
		g, link := startHolders(t)
		first := link.holder(t, g)
		to := g.other(first).config.Name
		steps := len(link.since(0))
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for _, s := range g.servers { // the call may come to any node; the second and third find it done already
			eventually(t, "transfer by node "+s.config.Name, func() error {
				err := (adminNode{s}).Transfer(ctx, to)
				if err != nil && !errors.Is(err, admin.ErrNoQuorum) && !strings.Contains(err.Error(), "does not lead") { // it, or whom it takes for the leader, may not have heard of the new one yet
					t.Fatal(err)
				}
				return err
			})
		}
		if now := link.holder(t, g, first); now != to {
			t.Errorf("%s holds, want %s", now, to)
		}
		eventually(t, "the old holder has dropped", func() error {
			if len(link.since(steps)) < 4 {
				return errors.New("not yet")
			}
			return nil
		})
		wantHandOver(t, link.since(steps), first, to)
		h := g.servers[0].state.Operating().Holder
		if !h.Planned || h.Gap != 0 || h.Previous != first {
			t.Errorf("the receipt: %+v", h)
		}
		var refused *admin.RefusedError
		if err := (adminNode{g.servers[0]}).Transfer(ctx, "nobody"); !errors.As(err, &refused) {
			t.Errorf("moved to a node that is none: %v", err)
		}
	})
}

// TestNothingIsRelayedWithoutAHop: where machines have no address of their own beside the virtual ones (a loopback interface) connections cannot be sent on to the successor: nobody waits until none
// is left, since they come still. The address moves at once.
func TestNothingIsRelayedWithoutAHop(t *testing.T) {
	g, link := startHolders(t)
	first := link.holder(t, g)
	link.mu.Lock()
	link.hopless = true
	link.mu.Unlock()
	steps := len(link.since(0))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := (adminNode{g.byName(first)}).Transfer(ctx, g.other(first).config.Name); err != nil {
		t.Fatal(err)
	}
	link.holder(t, g, first)
	if story := link.since(steps); slices.ContainsFunc(story, func(step string) bool { return strings.Contains(step, "relay") }) {
		t.Errorf("a relay without a hop: %v", story)
	}
}

// TestHandOverSurvivesTheGuard: the guard process of either end is replaced while connections are drained. New ones must go to the successor all the same.
func TestHandOverSurvivesTheGuard(t *testing.T) {
	calm.Try(t, storyStall, func(t testing.TB) {
		g, link := startHolders(t)
		for _, end := range []string{"the holder", "the successor"} {
			first := link.holder(t, g)
			to := g.other(first).config.Name
			steps := len(link.since(0))
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- adminNode{g.byName(first)}.Transfer(ctx, to) }()
			eventually(t, "it relays", func() error {
				if !slices.Contains(link.since(steps), first+" relays to "+to) {
					return errors.New("not yet")
				}
				return nil
			})
			want := []string{to + " prepares", first + " relays to " + to}
			if end == "the holder" {
				link.keeper(first).lose()
				want = append(want, first+" loses all", first+" takes", first+" relays to "+to)
			} else {
				link.keeper(to).lose()
				want = append(want, to+" loses all", to+" prepares")
			}
			if err := <-done; err != nil {
				t.Error(err)
				return
			}
			link.holder(t, g, first)
			want = append(want, to+" takes", first+" drops, linger 2s")
			eventually(t, "the old holder has dropped", func() error {
				if len(link.since(steps)) < len(want) {
					return errors.New("not yet")
				}
				return nil
			})
			if got := link.since(steps); !slices.Equal(got, want) {
				t.Errorf("%s: the story\n  %s\nwant\n  %s", end, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
			}
		}
	})
}

// TestSuccessorThatIsToLeave takes over all the same, and hands over then: connections have come to it already.
func TestSuccessorThatIsToLeave(t *testing.T) {
	calm.Try(t, storyStall, func(t testing.TB) {
		g, link := startHolders(t)
		first := link.holder(t, g)
		to := g.other(first).config.Name
		steps := len(link.since(0))
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- adminNode{g.byName(first)}.Transfer(ctx, to) }()
		eventually(t, "it relays", func() error {
			if !slices.Contains(link.since(steps), first+" relays to "+to) {
				return errors.New("not yet")
			}
			return nil
		})
		g.stop[slices.Index(g.servers, g.byName(to))]()
		if err := <-done; err != nil {
			t.Error(err)
			return
		}
		next := link.holder(t, g, to)
		eventually(t, "both have dropped", func() error {
			if story := link.since(steps); len(story) < 8 {
				return fmt.Errorf("so far %q", story)
			}
			return nil
		})
		// Each of the two has its order; the first holder may drop after its successor has begun to hand over.
		story := link.since(steps)
		for _, order := range [][]string{handOver(first, to), handOver(to, next), {to + " takes", to + " relays to " + next}} {
			if got := slices.DeleteFunc(slices.Clone(story), func(step string) bool { return !slices.Contains(order, step) }); !slices.Equal(got, order) || len(story) != 8 {
				t.Errorf("the stories of the hand-overs\n  %s\nwant, in this order\n  %s", strings.Join(story, "\n  "), strings.Join(order, "\n  "))
			}
		}
	})
}

// drain has the holder begin to hand over to another node, with a client that does not go. done gives the end of it.
func (l *testLink) drain(t testing.TB, g *testGroup) (from, to string, steps int, done chan error) {
	t.Helper()
	from = l.holder(t, g)
	to = g.other(from).config.Name
	l.change(func() { l.clients = 1 })
	steps = len(l.since(0))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	done = make(chan error, 1)
	go func() { done <- adminNode{g.byName(from)}.Transfer(ctx, to) }()
	eventually(t, "it relays", func() error {
		if !slices.Contains(l.since(steps), from+" relays to "+to) {
			return errors.New("not yet")
		}
		return nil
	})
	return from, to, steps, done
}

func (l *testLink) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// TestHolderThatBecomesUnfitEndsTheDrain: it has to drop the address, and nobody has it then. The successor is ready; nothing is gained by waiting for clients that cannot reach this node any more.
func TestHolderThatBecomesUnfitEndsTheDrain(t *testing.T) {
	calm.Try(t, storyStall, func(t testing.TB) {
		g, link := startHolders(t)
		from, to, steps, done := link.drain(t, g)
		unfit := time.Now()
		machine := link.keeper(from)
		link.change(func() { machine.unreached = errors.New("no listener takes connections to the virtual address") })
		if err := <-done; err != nil {
			t.Error(err)
			return
		}
		if now := link.holder(t, g, from); now != to {
			t.Errorf("%s holds, want %s", now, to)
		}
		took := time.Since(unfit)
		link.change(func() { link.clients = 0 }) // the new holder need not wait for it at its end
		t.Logf("it moved after %v: %q", took, link.since(steps))
		if took >= transferDrain/2 { // the client is there still
			t.Errorf("it took %v", took)
		}
		want := []string{to + " prepares", from + " relays to " + to, from + " drops, linger 0s", to + " takes"}
		if story := link.since(steps); len(story) < len(want) || !slices.Equal(story[:len(want)], want) {
			t.Errorf("the story %q, want %q first: no other try between", story, want)
		}
	})
}

// TestLeaderThatIsAlwaysTooLate: its guard cannot be started again, say. It leads well otherwise, and nobody would have the address for ever.
func TestLeaderThatIsAlwaysTooLate(t *testing.T) {
	g, link := startHolders(t)
	first := link.holder(t, g)
	machine := link.keeper(first)
	link.change(func() { machine.late = true })
	machine.lose()
	link.holder(t, g, first)
	if st := g.byName(first).address.Status(); st.Eligible || !strings.Contains(st.Reason, "could not be taken for 2s") {
		t.Errorf("the leader before: %+v", st)
	}
}

// TestSuccessorIsNotUpgradedMeanwhile: clients come to it already. The other way about, a node whose program is being replaced is made ready for nothing.
func TestSuccessorIsNotUpgradedMeanwhile(t *testing.T) {
	g, link := startHolders(t, func(c *Config) { c.Self.Path = "/usr/local/bin/holdfast" })
	_, to, _, done := link.drain(t, g)
	next := g.byName(to)
	for what, err := range map[string]error{"upgrade": next.mayUpgrade(), "resync": next.changeMembers(t.Context(), asked{Do: askResync})} {
		if err == nil || !strings.Contains(err.Error(), "is taking over the address from node") {
			t.Errorf("%s: %v", what, err)
		}
	}
	link.change(func() { link.clients = 0 })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	link.holder(t, g)
	eventually(t, "it may be upgraded again", next.mayUpgrade)
	other := g.other(to)
	other.moving.Store(true)
	defer other.moving.Store(false)
	if _, err := other.prepare(t.Context(), to, time.Second); !errors.Is(err, errMoving) {
		t.Errorf("prepared during an upgrade: %v", err)
	}
}

// TestNodeThatResyncsIsNoSuccessor: connections that were relayed to it would break with it. A resync that is refused leaves it as it was.
func TestNodeThatResyncsIsNoSuccessor(t *testing.T) {
	g, link := startHolders(t)
	first := link.holder(t, g)
	other := g.other(first)
	refused, cancel := context.WithCancel(t.Context())
	cancel()
	if err := other.changeMembers(refused, asked{Do: askResync}); err == nil {
		t.Fatal("it waits for nobody")
	}
	if _, err := other.prepare(t.Context(), first, time.Second); err != nil {
		t.Errorf("after a resync that has failed: %v", err)
	}
	if err := other.changeMembers(t.Context(), asked{Do: askResync}); err == nil || !strings.Contains(err.Error(), "is taking over the address from node") {
		t.Errorf("prepared: %v", err)
	}
	if err := other.address.Unprepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := other.changeMembers(t.Context(), asked{Do: askResync}); err != nil {
		t.Fatal(err)
	}
	if _, err := other.prepare(t.Context(), first, time.Second); !errors.Is(err, errResyncing) {
		t.Errorf("prepared during a resync: %v", err)
	}
	if r := other.addressReport(); r.Eligible || r.Reason != errResyncing.Error() {
		t.Errorf("%+v", r.Status)
	}
	if err := other.changeMembers(t.Context(), asked{Do: askResync}); err == nil || !strings.Contains(err.Error(), "under way") {
		t.Errorf("a second one: %v", err)
	}
	done := g.done[slices.Index(g.servers, other)]
	if err := <-done; !errors.Is(err, ErrResync) {
		t.Errorf("it has ended with %v", err)
	}
	done <- nil // that was its end
}

func TestEvacuatedHolderHandsOver(t *testing.T) {
	calm.Try(t, storyStall, func(t testing.TB) {
		g, link := startHolders(t)
		first := link.holder(t, g)
		old := g.byName(first)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		propose := func(c fsm.Command) fsm.Result {
			t.Helper()
			r, err := old.node.Propose(ctx, c)
			if err != nil || r.Code != fsm.CodeOK {
				t.Fatalf("%+v: %v", r, err)
			}
			return r
		}
		steps := len(link.since(0))
		r := propose(&fsm.EvacuationSet{Node: first, Actor: "test", Reason: "new memory"})
		to := link.holder(t, g, first)
		if err := old.ready(); err == nil || !strings.Contains(err.Error(), "new memory") {
			t.Errorf("an evacuated node is ready: %v", err)
		}
		if err := (adminNode{g.servers[0]}).WaitAll(ctx, r.Index); err != nil {
			t.Errorf("an evacuated node holds up who waits for all: %v", err)
		}
		if err := (adminNode{old}).Transfer(ctx, ""); err != nil {
			t.Errorf("transfer to any: %v", err)
		}
		if now := link.holder(t, g, to); now == first {
			t.Error("an evacuated node holds again")
		}
		wantHandOver(t, link.since(steps)[:4], first, to)
		propose(&fsm.EvacuationClear{Node: first, Actor: "test"})
		eventually(t, "the node is ready again", old.ready)
	})
}

func TestLeavingHolderHandsOver(t *testing.T) {
	calm.Try(t, storyStall, func(t testing.TB) {
		g, link := startHolders(t)
		first := link.holder(t, g)
		steps := len(link.since(0))
		g.stop[slices.Index(g.servers, g.byName(first))]()
		to := link.holder(t, g, first)
		eventually(t, "the old holder has dropped", func() error {
			if len(link.since(steps)) < 4 {
				return errors.New("not yet")
			}
			return nil
		})
		wantHandOver(t, link.since(steps), first, to)
	})
}
