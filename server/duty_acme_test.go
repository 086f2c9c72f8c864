package server

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/certs"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/internal/certtest"
	"github.com/holdfast-lb/holdfast/server/acme"
)

// acmeGroup is a replicated state with leaders that obtain certificates from an authority which is a function.
type acmeGroup struct {
	t       *testing.T
	mu      sync.Mutex
	state   *fsm.State
	index   uint64
	changes chan struct{}
	group   *fsm.Group
	ca      *certtest.CA
	// obtain is the authority; asked are the names and times of attempts.
	obtain func(ctx context.Context, want *config.ACMECertificate) (*certs.Pair, error)
	asked  []string
	open   int // clients
	start  time.Time
	term   uint64
}

func newACMEGroup(t *testing.T) *acmeGroup {
	g := &acmeGroup{t: t, state: fsm.New(), changes: make(chan struct{}), group: &fsm.Group{ID: "g", Secret: bytes.Repeat([]byte{7}, 32)}, ca: certtest.NewCA(t, "authority"), start: time.Now()}
	g.obtain = func(_ context.Context, want *config.ACMECertificate) (*certs.Pair, error) {
		return g.issue(want, 9*24*time.Hour)
	}
	return g
}

// issue makes a certificate that is good for so long from now on.
func (g *acmeGroup) issue(want *config.ACMECertificate, life time.Duration) (*certs.Pair, error) {
	leaf := g.ca.Leaf(func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now(), time.Now().Add(life) }, want.Hosts...)
	return certs.ReadPair(leaf.ChainPEM(), leaf.KeyPEM())
}

func (g *acmeGroup) propose(ctx context.Context, c fsm.Command) (fsm.Result, error) {
	if ctx.Err() != nil {
		return fsm.Result{}, ctx.Err()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	entry, err := fsm.Encode(time.Now(), c)
	if err != nil {
		return fsm.Result{}, err
	}
	g.index++
	before := g.state.Operating()
	r, err := g.state.Apply(g.index, entry)
	if g.state.Operating() != before {
		close(g.changes)
		g.changes = make(chan struct{})
	}
	return r, err
}

func (g *acmeGroup) changed() <-chan struct{} { g.mu.Lock(); defer g.mu.Unlock(); return g.changes }

// configure has the group want certificates.
func (g *acmeGroup) configure(list ...config.ACMECertificate) {
	g.t.Helper()
	c := config.Empty()
	if len(list) > 0 {
		c.ACME = &config.ACME{Directory: config.LetsEncrypt, AcceptTerms: true, Challenges: []string{"http-01"}, Certificates: list}
	}
	r, err := g.propose(g.t.Context(), &fsm.ConfigChange{Expect: g.state.Revision().Number, Actor: "admin", Config: c})
	if err != nil || r.Code != fsm.CodeOK {
		g.t.Fatalf("%+v, %v", r, err)
	}
}

// client is what a leader has.
type acmeGroupClient struct{ g *acmeGroup }

func (c acmeGroupClient) Obtain(ctx context.Context, want *config.ACMECertificate) (*certs.Pair, error) {
	c.g.mu.Lock()
	c.g.asked = append(c.g.asked, fmt.Sprint(want.Name, " ", time.Since(c.g.start).Round(time.Second)))
	obtain := c.g.obtain
	c.g.mu.Unlock()
	return obtain(ctx, want)
}

func (c acmeGroupClient) Close() { c.g.mu.Lock(); c.g.open--; c.g.mu.Unlock() }

// lead has a node lead until the function that it gives is called.
func (g *acmeGroup) lead(node string) (kill func()) {
	g.term++
	ctx, cancel := context.WithCancel(g.t.Context())
	tm := &term{node: node, state: g.state, propose: g.propose, changed: g.changed, clock: time.Now, log: slog.New(slog.DiscardHandler), jobs: newJobs(prometheus.NewRegistry()),
		reports: &gatherer{ask: func(context.Context) []memberReport { return nil }}}
	d := &acmeDuty{term: tm, number: g.term, group: func() *fsm.Group { return g.group }}
	d.open = func(*acme.Store, *config.ACME, *x509.CertPool) (obtainer, error) {
		g.mu.Lock()
		g.open++
		g.mu.Unlock()
		return acmeGroupClient{g}, nil
	}
	tm.jobs.begin([]duty{d})
	done := make(chan struct{})
	go func() {
		defer close(done)
		tm.run(ctx, d)
		d.close()
	}()
	return func() { cancel(); <-done }
}

func (g *acmeGroup) attempts() []string {
	synctest.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.asked)
}

var wantedSite = config.ACMECertificate{Name: "site", Hosts: []string{"shop.example", "www.shop.example"}, Key: "ecdsa-p256"}

// TestLeaderObtainsAndRenews: one certificate at a time, once, whoever leads; again when a third of its life is left, when somebody asks, or when something else is wanted.
func TestLeaderObtainsAndRenews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newACMEGroup(t)
		kill := g.lead("n1")
		time.Sleep(time.Hour)
		if list := g.attempts(); len(list) != 0 {
			t.Fatalf("%q without a configuration", list)
		}
		g.configure(wantedSite)
		if list := g.attempts(); !slices.Equal(list, []string{"site 1h0m0s"}) {
			t.Fatalf("%q", list)
		}
		is := g.state.Operating().Certificate("site")
		if is == nil || is.Actor != fsm.ActorACME {
			t.Fatalf("%+v", is)
		}
		if _, err := certs.OpenPair(g.group.Secret, "site", is.Chain, is.Key); err != nil {
			t.Error(err)
		}
		kill()
		kill = g.lead("n2")
		time.Sleep(5 * 24 * time.Hour)
		if list := g.attempts(); len(list) != 1 {
			t.Fatalf("%q", list)
		}
		time.Sleep(25 * time.Hour)
		if list := g.attempts(); len(list) != 2 || g.state.Operating().Certificate("site").Version == is.Version {
			t.Fatalf("%q", list)
		}
		if r, err := g.propose(t.Context(), &fsm.ACMERenew{Certificate: "site", Actor: "admin"}); err != nil || r.Code != fsm.CodeOK {
			t.Fatalf("%+v, %v", r, err)
		}
		if list := g.attempts(); len(list) != 3 || len(g.state.Operating().ACMEStates) != 0 {
			t.Fatalf("%q, %+v", list, g.state.Operating().ACMEStates)
		}
		more := wantedSite
		more.Hosts = []string{"www.shop.example", "shop.example"} // the same
		g.configure(more)
		if list := g.attempts(); len(list) != 3 {
			t.Fatalf("%q", list)
		}
		more.Hosts = append(slices.Clone(more.Hosts), "new.shop.example")
		g.configure(more)
		if list := g.attempts(); len(list) != 4 {
			t.Fatalf("%q", list)
		}
		g.configure()
		kill()
		if g.open != 0 {
			t.Errorf("%d clients are left", g.open)
		}
	})
}

// TestFailuresAreTriedAgain: ever later, whoever leads; at once when somebody asks; and not at all when nobody wants it any more.
func TestFailuresAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newACMEGroup(t)
		works := g.obtain
		g.obtain = func(context.Context, *config.ACMECertificate) (*certs.Pair, error) {
			return nil, errors.New("no answer\x00\n" + strings.Repeat("x", 100_000))
		}
		g.configure(wantedSite)
		kill := g.lead("n1")
		time.Sleep(5 * time.Minute)
		kill()
		kill = g.lead("n2")
		time.Sleep(12 * time.Minute)
		if list := g.attempts(); !slices.Equal(list, []string{"site 0s", "site 1m0s", "site 3m0s", "site 7m0s", "site 15m0s"}) {
			t.Fatalf("%q", list)
		}
		s := g.state.Operating().ACMEState("site")
		if s == nil || s.Failures != 5 || !strings.HasPrefix(s.Error, "no answer xxx") || len(s.Error) > 1100 || !s.Next.After(time.Now()) {
			t.Fatalf("%+v", s)
		}
		g.mu.Lock()
		g.obtain = works
		g.mu.Unlock()
		if r, err := g.propose(t.Context(), &fsm.ACMERenew{Certificate: "site", Actor: "admin"}); err != nil || r.Code != fsm.CodeOK {
			t.Fatalf("%+v, %v", r, err)
		}
		if list := g.attempts(); len(list) != 6 || g.state.Operating().Certificate("site") == nil || len(g.state.Operating().ACMEStates) != 0 {
			t.Fatalf("%q", list)
		}
		g.mu.Lock()
		g.obtain = func(context.Context, *config.ACMECertificate) (*certs.Pair, error) {
			return nil, errors.New("no answer")
		}
		g.mu.Unlock()
		other := config.ACMECertificate{Name: "other", Hosts: []string{"other.example"}, Key: "ecdsa-p256"}
		g.configure(wantedSite, other)
		if g.attempts(); g.state.Operating().ACMEState("other") == nil {
			t.Fatal("the failure is not noted")
		}
		g.configure(wantedSite)
		if n := len(g.attempts()); n != 7 || len(g.state.Operating().ACMEStates) != 0 {
			t.Errorf("%d attempts, %+v", n, g.state.Operating().ACMEStates)
		}
		kill()
	})
}

// TestAttemptsEnd: with the leader, which the next one makes good; after a time, when the authority does not answer; and with the reason for them.
func TestAttemptsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newACMEGroup(t)
		works := g.obtain
		hangs := func(ctx context.Context, _ *config.ACMECertificate) (*certs.Pair, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		set := func(obtain func(context.Context, *config.ACMECertificate) (*certs.Pair, error)) {
			g.mu.Lock()
			g.obtain = obtain
			g.mu.Unlock()
		}
		set(hangs)
		g.configure(wantedSite)
		kill := g.lead("n1")
		time.Sleep(30 * time.Second)
		kill() // in the middle of the order
		if s := g.state.Operating().ACMEState("site"); s != nil {
			t.Errorf("the end of a leader is a failure: %+v", s)
		}
		kill = g.lead("n2")
		time.Sleep(attemptWait + time.Second)
		synctest.Wait()
		if s := g.state.Operating().ACMEState("site"); s == nil || !strings.Contains(s.Error, "the authority has not issued it in 3m0s") {
			t.Fatalf("%+v", s)
		}
		time.Sleep(2 * time.Minute) // the next attempt is under way
		set(works)
		other := wantedSite
		other.Hosts = []string{"shop.example"}
		g.configure(other)
		synctest.Wait()
		if c := g.state.Operating().Certificate("site"); c == nil || len(g.state.Operating().ACMEStates) != 0 {
			t.Fatalf("%+v %+v, %q", c, g.state.Operating().ACMEStates, g.attempts())
		}
		if list := g.attempts(); !slices.Equal(list, []string{"site 0s", "site 30s", "site 4m30s", "site 5m31s"}) {
			t.Errorf("%q", list)
		}
		kill()
	})
}

// TestCertificateOfAnOperator: one that was put there by hand stays to its renewal, and one that is put there while another is obtained is not lost unseen.
func TestCertificateOfAnOperator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newACMEGroup(t)
		pair, err := g.issue(&wantedSite, 6*24*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		put := &fsm.CertificatePut{Name: "site", Chain: pair.Chain, Key: []byte("sealed"), Actor: "admin"}
		if r, err := g.propose(t.Context(), put); err != nil || r.Code != fsm.CodeOK {
			t.Fatalf("%+v, %v", r, err)
		}
		g.configure(wantedSite)
		kill := g.lead("n1")
		time.Sleep(3 * 24 * time.Hour)
		if list := g.attempts(); len(list) != 0 {
			t.Fatalf("%q", list)
		}
		time.Sleep(25 * time.Hour)
		if list := g.attempts(); len(list) != 1 || g.state.Operating().Certificate("site").Actor != fsm.ActorACME {
			t.Fatalf("%q", list)
		}
		kill()
	})
}

// TestCertificateThatIsNotKept: what the group refuses to keep is asked for no more often than what the authority refuses.
func TestCertificateThatIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newACMEGroup(t)
		g.configure(wantedSite)
		if r, err := g.propose(t.Context(), &fsm.CertificatePut{Name: "site", Chain: [][]byte{g.ca.Cert.Raw}, Actor: "admin"}); err != nil || r.Code != fsm.CodeOK {
			t.Fatalf("%+v, %v", r, err)
		}
		kill := g.lead("n1")
		time.Sleep(4 * time.Minute)
		if list := g.attempts(); !slices.Equal(list, []string{"site 0s", "site 1m0s", "site 3m0s"}) {
			t.Errorf("%q", list)
		}
		if s := g.state.Operating().ACMEState("site"); s == nil || !strings.Contains(s.Error, "the group does not keep it: refused: certificate site is a bundle of authorities") {
			t.Errorf("%+v", s)
		}
		kill()
	})
}

// TestCertificatesWithLittleLife: an authority that issues what is over already, or nearly, is not asked again and again; more names than were asked for are none of
// our business.
func TestCertificatesWithLittleLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			before, left time.Duration
			more         []string
			want         []string
			wait         time.Duration
		}{
			{time.Hour, 20 * time.Minute, nil, []string{"site 0s", "site 10m0s", "site 20m0s"}, 25 * time.Minute},
			{time.Hour, time.Second, nil, []string{"site 0s", "site 1m0s", "site 2m0s", "site 3m0s"}, 3*time.Minute + 30*time.Second},
			{0, 90 * time.Minute, []string{"more.example"}, []string{"site 0s"}, 30 * time.Minute},
		} {
			g := newACMEGroup(t)
			g.obtain = func(_ context.Context, want *config.ACMECertificate) (*certs.Pair, error) {
				leaf := g.ca.Leaf(func(x *x509.Certificate) { x.NotBefore, x.NotAfter = time.Now().Add(-c.before), time.Now().Add(c.left) }, append(slices.Clone(want.Hosts), c.more...)...)
				return certs.ReadPair(leaf.ChainPEM(), leaf.KeyPEM())
			}
			g.configure(wantedSite)
			kill := g.lead("n1")
			time.Sleep(c.wait)
			if list := g.attempts(); !slices.Equal(list, c.want) {
				t.Errorf("%v left: %q, want %q", c.left, list, c.want)
			}
			kill()
		}
	})
}
